"""Runs a command on a terminal of its own, first wide and then narrow: terminal.py WIDE NARROW COMMAND...

Prints JSON: what was written while it was wide, and from then on. A width lasts until something that is written over and over
has been written three times; then the command is interrupted.
"""

import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios

AGAIN = b"\x1b[J"


def main():
    widths, command = [int(width) for width in sys.argv[1:3]], sys.argv[3:]
    process, terminal = pty.fork()
    if process == 0:
        resize(sys.stderr.fileno(), widths[0])
        os.execvp(command[0], command)
    written = []
    for width in widths:
        if written:
            resize(terminal, width)
        written.append(b"")
        while written[-1].count(AGAIN) < 3:
            written[-1] += read(terminal)
    os.kill(process, signal.SIGINT)
    while more := read(terminal):
        written[-1] += more
    os.waitpid(process, 0)
    json.dump([text.decode() for text in written], sys.stdout)


def resize(terminal, width):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


main()

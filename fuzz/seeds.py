#!/usr/bin/env python3
"""Gathers the fixtures of the tests as seeds: seeds.py REPOSITORY FOLDER writes FOLDER/TARGET/*.

Fixtures stay where the tests have them; nothing is kept twice. The forms are those that the targets read as text.
"""

import re
import shutil
import sys
from pathlib import Path


def unescaped(text: str) -> bytes:
    """The bytes that an input of tests/decode stands for: \\xNN, \\\\, and a backslash that joins lines."""
    found = re.sub(
        r"\\(x[0-9a-fA-F]{2}|\\|\n)",
        lambda match: "" if match[1] == "\n" else "\\x5c" if match[1] == "\\" else match[0],
        text,
    )
    parts = re.split(r"\\x([0-9a-fA-F]{2})", found)
    return b"".join(bytes([int(part, 16)]) if odd % 2 else part.encode() for odd, part in enumerate(parts))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def seeds(root: Path):
    """Pairs of a target and the content of a seed."""
    for layout in sorted((root / "tests/decode").glob("*.toml")):
        feed = unescaped(layout.with_suffix(".input").read_text())
        for target in ("framing", "decode", "mask", "inspect"):
            yield target, layout.read_bytes() + b"\0" + feed
        around = "[kafka]\nbootstrap_servers = 'embedded'\n[[integration]]\nid = 'a'\nkind = 'avaya-cms'\nacd = 1\n"
        realtime = "[integration.realtime]\nport = 7001\nlayout = 'case'\nsnapshot_end = 'idle'\n[layout.case]\n"
        yield "config", (around + realtime).encode() + layout.read_bytes()
    for capture in sorted((root / "tests/scenarios").glob("*/*.capture")):
        lines = [line for line in capture.read_text().splitlines() if line.startswith("{")]
        text = "\n".join(lines)
        if len(text) < 6000:
            yield "tracker", f"@{capture.parent.name}\n{text}".encode()
        yield "capture", "\n".join(lines[:6]).encode()
    for config in (root / "deploy/rtalink.toml", root / "tests/scenarios/rtalink.toml"):
        yield "config", config.read_bytes()
        yield "config", config.read_bytes() + b"\0KAFKA__BOOTSTRAP_SERVERS=kafka:9092\nINTEGRATION__0__ACD=2\n"
    for page in sorted((root / "docs").glob("*.md")):
        for block in blocks(page, "toml"):
            yield "config", block.encode()
        for block in blocks(page, "json"):
            yield "events", block.encode()
    for table in sorted(root.glob("tests/scenarios/*.csv")) + sorted(root.glob("deploy/**/*.csv")):
        yield "mapping", table.read_bytes()
        yield "mapping", table.read_bytes().split(b"\n", 1)[1]


def main() -> None:
    root, folder = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    counts: dict[str, int] = {}
    for target, content in seeds(root):
        counts[target] = counts.get(target, 0) + 1
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / target / f"{counts[target]:03}").write_bytes(content)
    for target in ("framing", "decode", "mask", "inspect", "config", "tracker", "capture", "mapping", "events"):
        if counts.get(target, 0) == 0:
            sys.exit(f"no seed for {target}: where have the fixtures gone?")


main()

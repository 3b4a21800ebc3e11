"""Colours: those of Okabe and Ito, which people with any colour vision can tell apart, and the same for a thing everywhere.

Where a colour says good or bad, words or a number say it too.
"""

GOOD = "#009E73"
WARN = "#E69F00"
BAD = "#D55E00"
QUIET = "#8E8E93"

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
RED = "#D55E00"
PINK = "#CC79A7"

# How a planner calls a group of work modes, the modes of CMS in it, its colour.
# The order is that of the stack, from the bottom up.
MODES = [
    ("On a call", "ACD|DACD", SKY),
    ("Ringing", "RING", PINK),
    ("After-call work", "ACW|DACW", BLUE),
    ("Available", "AVAIL", GREEN),
    ("AUX", "AUX", ORANGE),
    ("Other", "OTHER|LOGON", QUIET),
    ("Unknown to CMS", "UNKNOWN", RED),
]
MODE_COLOURS = {name: colour for name, _, colour in MODES}
MODE_CODES = {name: codes for name, codes, _ in MODES}

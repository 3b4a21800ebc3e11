"""How the state of a feed is put into words; the same on both dashboards."""

from colours import BAD, GOOD, PINK, QUIET, WARN
from panels import words_between

# For the values of `expressions.FEED_STATE`.
STATES = [
    words_between(0, 0.5, "Receiving", GOOD),
    words_between(0.5, 1.5, "Not connected", WARN),
    words_between(1.5, 3.5, "No data", BAD),
    words_between(3.5, 7.5, "Link to the switch down", PINK),
    words_between(7.5, 15.5, "Paused", QUIET),
]

"""A figure whose places are pixels, from the top left, and the colours of Grafana's dark theme."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 # after the choice of a backend
from matplotlib.patches import Rectangle  # noqa: E402

PAGE, PANEL, EDGE = "#111217", "#181B1F", "#2A2D34"
TEXT, FAINT, GRID = "#D5D6DE", "#8E8F99", "#2A2C33"
PALETTE = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00", "#8E8E93"]
WIDTH, UNIT, GAP, HEAD, DPI = 1600, 38, 8, 64, 100


class Board:
    def __init__(self, height):
        self.height = height
        self.figure = plt.figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=PAGE)

    def axes(self, x, y, w, h):
        return self.figure.add_axes((x / WIDTH, 1 - (y + h) / self.height, w / WIDTH, h / self.height))

    def text(self, x, y, text, size=12, colour=TEXT, **more):
        more = {"va": "center", "ha": "left", **more}
        self.figure.text(x / WIDTH, 1 - y / self.height, text, fontsize=size * 72 / DPI, color=colour, **more)

    def box(self, x, y, w, h, colour, edge=None):
        place = (x / WIDTH, 1 - (y + h) / self.height)
        patch = Rectangle(place, w / WIDTH, h / self.height, facecolor=colour, edgecolor=edge or colour, linewidth=0.8, zorder=-1)
        self.figure.add_artist(patch)

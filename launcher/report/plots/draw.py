"""Draws figures as SVG with matplotlib; runs in an environment that has it, never in ours.

    python draw.py FIGURES.json

The file holds a list of figures (`launcher.report.plots.figure.Figure` as JSON). Standard output
gets one JSON object: the SVG text of each figure by its name. Text stays text, and colours are a
few fixed ones, so that the page can give them its own (`launcher.report.plots.svg`).
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0478c", "#000000")
"""Okabe and Ito's, as far as they have a contrast of 3 to 1 on white; the purple is darker."""
MARKERS = ("o", "s", "^", "D", "v", "X", "P")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))
WIDTH, HEIGHT = 4.2, 3.1
"""Inches: readable at the width of a phone, two side by side on a desk."""
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ernie-deploy",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "axes.unicode_minus": False,
}


def draw(figure: dict[str, Any]) -> str:
    """The SVG of one figure."""
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    drawn, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes.set_xlabel(figure["label_x"])
    axes.set_ylabel(figure["label_y"])
    axes.set_xscale(figure["scale_x"])
    axes.set_yscale(figure["scale_y"])
    for index, span in enumerate(figure["spans"]):
        if index % 2 == 0:
            axes.axvspan(span["begin"], span["end"], color="#808080", alpha=0.14, linewidth=0)
        axes.annotate(
            _plain(span["label"]), (span["begin"], 1.0), (2, -2), fontsize=7, va="top", ha="left",
            xycoords=("data", "axes fraction"), textcoords="offset points",
        )  # fmt: skip
    for series in figure["series"]:
        _line(axes, series)
    if figure["limit"] is not None:
        axes.axhline(figure["limit"], color="#000000", linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            _plain(figure["limit_label"]), (1.0, figure["limit"]), (0, 3), fontsize=7, ha="right",
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip
    for axis, scale in ((axes.xaxis, figure["scale_x"]), (axes.yaxis, figure["scale_y"])):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if scale == "log":
            axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(6))
            # A flat line at zero is not a story about the fifth decimal place.
            low, high = axis.get_view_interval()
            if low < 0 <= low + 0.1 * (high - low):
                axis.axes.set(**{f"{axis.axis_name}lim": (0, high if high > 0 else 1)})
    if any(series["kind"] == "steps" for series in figure["series"]):
        # A time line is read against nothing in use.
        axes.set_ylim(bottom=0)
    if len(figure["series"]) > 1:
        columns = 4 if len(figure["series"]) > 6 else 3
        drawn.legend(loc="outside lower center", ncols=columns, handlelength=2.6)
    text = io.StringIO()
    drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(drawn)
    return text.getvalue()


def _line(axes: Any, series: dict[str, Any]) -> None:
    look = series["look"]
    colour = COLOURS[look % len(COLOURS)]
    dashes = DASHES[(look if series["dash"] is None else series["dash"]) % len(DASHES)]
    x, y = _numbers(series["x"]), _numbers(series["y"])
    label = _plain(series["label"])
    if series["kind"] == "steps":
        axes.step(x, y, where="post", color=colour, linestyle=dashes, label=label)
        return
    # Markers at a tenth of the points of a dense line: it stays told apart without colour.
    every = max(1, len(x) // 10)
    curve = series["kind"] == "curve"
    axes.plot(
        x, y, color=colour, linestyle=dashes, label=label, marker=MARKERS[look % len(MARKERS)],
        markevery=(look % every, every) if curve else None, markersize=4 if curve else 5,
    )  # fmt: skip
    if series["low"]:
        low, high = _numbers(series["low"]), _numbers(series["high"])
        lengths = [
            [max(0.0, middle - one) for middle, one in zip(y, low, strict=True)],
            [max(0.0, one - middle) for middle, one in zip(y, high, strict=True)],
        ]
        axes.errorbar(
            x, y, yerr=lengths, fmt="none", ecolor=colour, elinewidth=1, capsize=2.5, alpha=0.7
        )
    for at_x, at_y, text in zip(x, y, series["labels"], strict=False):
        axes.annotate(_plain(text), (at_x, at_y), (4, 4), fontsize=7, textcoords="offset points")


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _plain(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def main(path: str) -> None:
    """Draw every figure of the file at `path`."""
    import matplotlib

    matplotlib.use("svg")
    with open(path, encoding="utf-8") as file:
        figures = json.load(file)
    with matplotlib.rc_context(SETTINGS):
        drawn = {figure["name"]: draw(figure) for figure in figures}
    json.dump(drawn, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

"""A plot as a value: what is drawn, with the words for a reader who does not see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Series:
    """One line of a plot: points in order; None is a gap.

    `low` and `high` are the ends of the interval around each value of `y`, empty without any.
    `labels` stand beside the points, empty without any. `look` chooses colour and marker, `dash`
    the line (None: as `look`), so that the same thing looks the same in every plot of a page.
    `kind`: `curve` is dense and has few markers, `steps` holds each value until the next.
    """

    label: str
    x: tuple[float | None, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()
    look: int = 0
    dash: int | None = None
    kind: Literal["line", "curve", "steps"] = "line"


@dataclass(frozen=True)
class Span:
    """A part of the x axis that is marked, and what it is called."""

    begin: float
    end: float
    label: str


@dataclass(frozen=True)
class Figure:
    """One plot. `name` is its place in the page; `text` says in words what can be seen.

    `scale_x` and `scale_y` are `log` where the values need it; `limit` is a line that `limit_label`
    names (an SLO), None without one.
    """

    name: str
    title: str
    label_x: str
    label_y: str
    series: tuple[Series, ...]
    text: str
    scale_x: Literal["linear", "log"] = "linear"
    scale_y: Literal["linear", "log"] = "linear"
    spans: tuple[Span, ...] = ()
    limit: float | None = None
    limit_label: str = ""

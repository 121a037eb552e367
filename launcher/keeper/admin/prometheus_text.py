"""Prometheus' text exposition format 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Exposition:
    """Collects metrics; `labels` are on every sample, and come first."""

    def __init__(self, prefix: str, labels: Labels) -> None:
        """`prefix` begins every name."""
        self._prefix = prefix
        self._labels = dict(labels)
        self._lines: list[str] = []

    def gauge(self, name: str, help_text: str, value: float | None) -> None:
        """One value that goes up and down; nothing where it is not known."""
        self.gauges(name, help_text, [] if value is None else [({}, value)])

    def gauges(self, name: str, help_text: str, samples: list[tuple[Labels, float]]) -> None:
        """A gauge with labels; nothing without samples."""
        self._family(name, "gauge", help_text, samples)

    def counter(self, name: str, help_text: str, value: float | None) -> None:
        """One value that only rises; nothing where it is not known."""
        self.counters(name, help_text, [] if value is None else [({}, value)])

    def counters(self, name: str, help_text: str, samples: list[tuple[Labels, float]]) -> None:
        """A counter with labels; one that counted nothing yet still has its head."""
        self._family(name, "counter", help_text, samples, always=True)

    def text(self) -> str:
        """Everything collected."""
        return "".join(f"{line}\n" for line in self._lines)

    def _family(
        self,
        name: str,
        kind: str,
        help_text: str,
        samples: list[tuple[Labels, float]],
        *,
        always: bool = False,
    ) -> None:
        if not samples and not always:
            return
        full = f"{self._prefix}{name}"
        escaped = help_text.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += [f"# HELP {full} {escaped}", f"# TYPE {full} {kind}"]
        for labels, value in samples:
            pairs = (f'{key}="{_escaped(one)}"' for key, one in {**self._labels, **labels}.items())
            self._lines.append(f"{full}{{{','.join(pairs)}}} {_number(value)}")


def _escaped(value: str) -> str:
    text = value.encode(errors="replace").decode()
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) else repr(float(value))
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"

"""The start of an instance on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TextIO

from launcher.lifecycle import InstanceState
from launcher.plain import plain

STEP = 10.0
"""Per cent between two plain lines of the same phase."""


class ProgressLines:
    """Shows events of a start; call it with each one."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`; the clock starts with the first event."""
        self._stream = stream
        self._live = stream.isatty()
        self._started: float | None = None
        self._phase: str | None = None
        self._shown_percent = 0.0
        self._open = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event, if it is worth showing."""
        self._started = self._started or float(event.get("time", time.time()))
        kind = event["event"]
        if kind == "phase":
            self._show_phase(event)
        elif kind == "state":
            self._show_state(event)
        elif kind == "rung" and event.get("verdict") == "passed":
            self._line(event, f"{event['name']:<12} {event['message']}")
        elif kind == "failure":
            self._line(event, f"failed       {event['message']}")
        elif kind == "warning":
            self._line(event, f"warning      {event['message']}")
        elif kind == "restart":
            self._line(event, f"restart      number {event['number']} in {event['delay']:g} s")
        elif kind == "cleaned":
            self._line(event, "cleaned up   what a killed keeper had left")

    def _show_phase(self, event: Mapping[str, Any]) -> None:
        percent = event.get("percent")
        text = f"{event['title']}" + (f" {percent:3.0f} %" if percent is not None else "")
        new = event["phase"] != self._phase
        if new:
            self._phase, self._shown_percent = event["phase"], percent or 0.0
            self._line(event, f"{'loading':<12} {text}", keep_open=True)
        elif self._live:
            self._line(event, f"{'loading':<12} {text}", keep_open=True, replace=True)
        elif percent is not None and (percent - self._shown_percent >= STEP or percent >= 100):
            self._shown_percent = percent
            self._line(event, f"{'loading':<12} {text}")

    def _show_state(self, event: Mapping[str, Any]) -> None:
        pid = event.get("engine", {}).get("pid", "")
        texts = {
            InstanceState.LOADING: f"started      engine process {pid}",
            InstanceState.READY: f"ready        {event.get('base_url', '')}",
            InstanceState.STOPPING: "stopping     taking down what was started",
        }
        if event["state"] in texts:
            self._line(event, texts[event["state"]])

    def _line(
        self,
        event: Mapping[str, Any],
        text: str,
        *,
        keep_open: bool = False,
        replace: bool = False,
    ) -> None:
        elapsed = float(event.get("time", time.time())) - (self._started or 0.0)
        line = f"{elapsed:7.1f} s  {plain(text)}"
        if self._live:
            # \x1b[K clears what a longer line before it left standing.
            start = "\r" if replace else ("\n" if self._open else "")
            self._stream.write(f"{start}{line}\x1b[K" + ("" if keep_open else "\n"))
            self._open = keep_open
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

"""The start of an instance on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from launcher.json_values import JsonObject, at, number_at, text_at
from launcher.lifecycle import InstanceState
from launcher.plain import plain
from launcher.report import terminal
from launcher.report.live import LiveLine
from launcher.report.terminal import Terminal, cells, one_line

STEP = 10.0
"""Per cent between two plain lines of the same phase."""
LATE, GRACE = 1.5, 5.0
"""Times the expected time, and seconds, after which a start is called slower than usual."""


class ProgressLines:
    """Shows events of a start; call it with each one, and leave its context at the end.

    On a terminal finished phases stay as lines, and one line below them tells the phase, its
    percentage, the elapsed time and the time that earlier starts took (`expected`, seconds).
    """

    def __init__(self, stream: TextIO, expected: float | None = None) -> None:
        """Write to `stream`; the clock starts with the first event."""
        self._stream = stream
        self._terminal = terminal.of(stream)
        self._live = LiveLine(stream, self._live_text) if self._terminal.live else None
        self._expected = expected
        self._started: float | None = None
        self._last_event = (0.0, time.monotonic())
        self._phase: str | None = None
        self._title = ""
        self._percent: float | None = None
        self._phase_began = 0.0
        self._shown_percent = 0.0
        self._verb = "starting"

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal clean: the live line is gone, the cursor is at a line's start."""
        if self._live is not None:
            self._live.close()

    def __call__(self, event: JsonObject) -> None:
        """Show one event, if it is worth showing."""
        self._started = self._started or self._time(event)
        self._last_event = (self._elapsed(event), time.monotonic())
        kind, message = text_at(event, "event"), text_at(event, "message")
        if kind == "phase":
            self._show_phase(event)
        elif kind == "state":
            self._show_state(event)
        elif kind in ("probe", "rung") and event.get("verdict") == "passed":
            if self._live is not None and self._phase is not None:
                self._phase_finished(event)
                self._verb, self._title, self._percent = "proving", "that it answers", None
            self._line(event, f"{text_at(event, 'name'):<12} {message}")
        elif kind == "failure":
            self._line(event, f"failed       {message}")
        elif kind == "warning":
            self._line(event, f"warning      {message}")
        elif kind == "restart":
            number, delay = number_at(event, "number"), number_at(event, "delay") or 0
            self._line(event, f"restart      number {number} in {delay:.1f} s")
        elif kind == "cleaned":
            self._line(event, "cleaned up   what a killed keeper had left")
        if self._live is not None and kind in ("phase", "state") and self._verb:
            self._live.start()
            self._live.refresh()

    def _show_phase(self, event: JsonObject) -> None:
        percent, phase = number_at(event, "percent"), text_at(event, "phase")
        title = text_at(event, "title")
        new = phase != self._phase
        if self._live is not None:
            if new:
                self._phase_finished(event)
            self._phase, self._title, self._percent = phase, title, percent
            self._verb = "loading"
            return
        text = title + (f" {percent:3.0f} %" if percent is not None else "")
        if new:
            self._phase, self._shown_percent = phase, percent or 0.0
            self._line(event, f"{'loading':<12} {text}")
        elif percent is not None and (percent - self._shown_percent >= STEP or percent >= 100):
            self._shown_percent = percent
            self._line(event, f"{'loading':<12} {text}")

    def _phase_finished(self, event: JsonObject) -> None:
        """On a terminal the line of a phase that is over says how long it took."""
        if self._live is not None and self._phase is not None:
            took = self._elapsed(event) - self._phase_began
            self._line(event, f"{'loaded':<12} {self._title} ({took:.1f} s)")
        self._phase, self._phase_began = None, self._elapsed(event)

    def _show_state(self, event: JsonObject) -> None:
        pid = at(event, "engine", "pid") or ""
        texts = {
            InstanceState.LOADING: f"started      engine process {pid}",
            InstanceState.READY: f"ready        {text_at(event, 'base_url')}",
            InstanceState.STOPPING: "stopping     taking down what was started",
        }
        state = text_at(event, "state")
        if state == InstanceState.READY:
            self._phase_finished(event)
        elif state != InstanceState.LOADING:
            self._phase = None
        self._verb = {"starting": "starting", "loading": "loading", "stopping": "stopping"}.get(
            state, ""
        )
        self._title, self._percent = "", None
        if state in texts:
            self._line(event, texts[InstanceState(state)])
        if not self._verb:
            self.close()

    def _line(self, event: JsonObject, text: str) -> None:
        text = f"{self._elapsed(event):7.1f} s  {plain(text)}"
        if self._live is None:
            self._stream.write(f"{text}\n")
            self._stream.flush()
            return
        screen = terminal.of(self._stream)
        style = {"failed": ("bold", "red"), "warning": ("yellow",), "ready": ("bold", "green")}
        head, word, rest = text[:11], text[11:23].rstrip(), text[11:]
        self._live.print(head + screen.style(word, *style.get(word, ())) + rest[len(word) :])

    def _elapsed(self, event: JsonObject) -> float:
        return self._time(event) - (self._started or 0.0)

    @staticmethod
    def _time(event: JsonObject) -> float:
        moment = number_at(event, "time")
        return float(time.time() if moment is None else moment)

    def _live_text(self, screen: Terminal) -> str:
        """The live line: as much of it as the terminal is wide, what matters most first."""
        elapsed = self._last_event[0] + time.monotonic() - self._last_event[1]
        head = f"{elapsed:7.1f} s  {self._verb:<12}"
        percent = "" if self._percent is None else f" {self._percent:.0f} %"
        what = f"{head} {one_line(self._title)}{percent}".rstrip()
        room = screen.width - 1
        if cells(what) > room and self._title:
            what = f"{elapsed:7.1f} s  {one_line(self._title)}{percent}"
        late = self._expected is not None and elapsed > LATE * self._expected + GRACE
        for tail in self._expectations(elapsed, late):
            if cells(what) + cells(tail) <= room:
                return what + screen.style(tail, "yellow" if late else "dim")
        if percent and cells(what) > room:
            return screen.clip(what.removesuffix(percent), room - len(percent)) + percent
        return screen.clip(what, room)

    def _expectations(self, elapsed: float, late: bool) -> tuple[str, ...]:
        if self._expected is None or self._verb == "stopping":
            return ()
        usual = _rounded(self._expected)
        if late:
            return (f"  slower than usual: earlier starts took {usual}", f"  usually {usual}")
        return (f"  of about {usual}, as earlier starts took", f"  of about {usual}")


def _rounded(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

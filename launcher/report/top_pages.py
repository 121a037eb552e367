"""The pages that the live view of `top` opens: logs and events of one instance, and its help."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import RichLog, Static

from launcher.errors import DeployError
from launcher.instance import logs
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject, number_at, text_at
from launcher.observe.events import Stream, without_secrets
from launcher.report import events_text
from launcher.report.terminal import one_line

BEGIN = 500
"""Lines that a page begins with."""
KEPT = 5000
"""Lines of a page that can be scrolled back to."""
AT_ONCE = 500
"""Lines that are shown of what came between two looks: a person can read no more."""
LOOK = 0.3
"""Seconds between two looks at a followed file, which a person reads."""

HELP = """\
 Keys
   up, down    select an instance        l, Enter   its logs
   e           its events                s, S       next order, order before
   r           reverse the order         space      look now
   q           quit; on a page: back     ?          this page

 Columns
   STATE  with the verdict on the liveness of a ready instance: idle, busy,
          stalled, paused, dead; `?` where it is in doubt
   RUN    requests in work
   WAIT   requests that wait; ~ is an estimate (FastDeploy before 2.6)
   TOK/S  generated tokens per second, over the last 15 s
   TTFT   mean time to the first token, over the last 15 s or, where no request
          came, since the server started
   KV     share of the KV cache in use
   GPU    memory of its processes on all GPUs
   RST    restarts          FOR   time in this state

 A narrow terminal leaves out, in this order: RST, GPU, KV, TTFT, FOR, TOK/S,
 WAIT, RUN.
"""


class Page(Screen[None]):
    """A screen that `q` and Escape leave."""

    CSS = """
    #title { height: 1; background: $primary; color: $text; text-style: bold; }
    #page-keys { height: 1; background: $panel; color: $text-muted; }
    #help { height: 1fr; }
    RichLog { height: 1fr; background: $surface; scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "back"),
        Binding("escape", "leave", "back"),
    ]

    def action_leave(self) -> None:
        """Back to the list."""
        self.dismiss(None)


class HelpPage(Page):
    """A text."""

    def __init__(self, text: str) -> None:
        """Show `text`."""
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text and the way back."""
        yield Static(" help", id="title")
        yield Static(Text(self._text), id="help")
        yield Static(" q back", id="page-keys")


class LinesPage(Page):
    """The newest lines of a file, and what is appended to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("end,G", "end", "follow"),
        Binding("home,g", "home", "begin"),
    ]

    def __init__(
        self, title: str, open_lines: Callable[[], Generator[list[Text], None, None]]
    ) -> None:
        """`open_lines` returns what generates the lines that came since the time before."""
        super().__init__()
        self._heading = title
        self._open_lines = open_lines
        self._is_left = threading.Event()

    def compose(self) -> ComposeResult:
        """The lines between a title and the keys."""
        yield Static(Text(f" {self._heading}"), id="title")
        yield RichLog(max_lines=KEPT, wrap=True, id="lines")
        yield Static(" q back  up/down scroll  g begin  G follow", id="page-keys")

    def on_mount(self) -> None:
        """Read in a thread: a log may be large, and a disk slow."""
        self.query_one(RichLog).focus()
        threading.Thread(target=self._read, name="top page", daemon=True).start()

    def on_unmount(self) -> None:
        """Nothing is read any more."""
        self._is_left.set()

    def _read(self) -> None:
        try:
            with contextlib.closing(self._open_lines()) as source:
                for lines in source:
                    if lines and self.app.is_running and not self._is_left.is_set():
                        self.app.call_from_thread(self._append, lines)
                    if self._is_left.wait(LOOK):
                        break
        except (DeployError, OSError) as error:
            if self.app.is_running and not self._is_left.is_set():
                self.app.call_from_thread(self._append, [Text(one_line(str(error)), "red")])

    def _append(self, lines: list[Text]) -> None:
        if not self.is_mounted or self._is_left.is_set():
            return
        log = self.query_one(RichLog)
        at_end = log.scroll_offset.y >= log.max_scroll_y
        if len(lines) > AT_ONCE:
            log.write(Text(f"... {len(lines) - AT_ONCE} lines are left out ...", "dim"))
        for line in lines[-AT_ONCE:]:
            log.write(line, scroll_end=at_end)

    def action_end(self) -> None:
        """To the newest line, and on with what comes."""
        self.query_one(RichLog).scroll_end(animate=False)

    def action_home(self) -> None:
        """To the oldest line that is kept."""
        self.query_one(RichLog).scroll_home(animate=False)


def log_lines(instance: InstanceDir) -> Generator[list[Text], None, None]:
    """The last lines of the engine's output, and then those that came since the time before."""
    newest = logs.Newest(
        instance, "engine", last=BEGIN, times=False, redactor=logs.redactor(instance)
    )
    try:
        while True:
            yield [Text(one_line(line)) for line in newest.lines()]
    finally:
        newest.close()


def event_lines(instance: InstanceDir) -> Generator[list[Text], None, None]:
    """The events, those of the run before included, and then those that came since."""
    stream, redactor = Stream(instance), logs.redactor(instance)
    try:
        while True:
            yield [_event_line(without_secrets(event, redactor)) for event in stream.new()[-KEPT:]]
    finally:
        stream.close()


def _event_line(event: JsonObject) -> Text:
    """Without the year: a page is narrower than a file."""
    line = Text()
    line.append(events_text.moment(number_at(event, "time"))[5:19], "dim")
    kind = one_line(text_at(event, "event"))
    line.append(f"  {kind:<{events_text.KIND_WIDTH}} ", " ".join(events_text.style(event)))
    return line.append(events_text.details(event))

"""The live view of `top`, drawn by textual, which is an optional extra and imported here only."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from launcher.errors import DeployError
from launcher.instance.store import InstanceDir
from launcher.observe.overview import SORTS, Observer, Row, ordered
from launcher.report import top_text
from launcher.report.terminal import clip, one_line
from launcher.report.top_pages import HELP, HelpPage, LinesPage, event_lines, log_lines
from launcher.report.top_text import Layout, Line

DEADLINE = 0.3
"""Seconds after which a look is drawn; what is late then comes with the next one."""
PATIENCE = 2.0
"""Seconds in which a server has to tell its figures."""
DETAILS = 4
"""Lines of the pane about the selected instance."""


Lines = Callable[[InstanceDir], Generator[list[Text], None, None]]
"""What a page shows of an instance."""


def as_text(line: Line) -> Text:
    """A line of `top_text` as textual draws it."""
    text = Text(no_wrap=True, end="")
    for piece, style in line:
        text.append(piece, " ".join(style))
    return text


class TopApp(App[None]):
    """All instances, redrawn every `interval` seconds."""

    TITLE = "ernie-deploy top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary { height: 1; background: $primary; color: $text; text-style: bold; }
    #services { height: auto; max-height: 40%; }
    #heading { height: 1; }
    #rows { height: 1fr; border: none; padding: 0; background: $surface; scrollbar-size: 1 1; }
    #rows > .option-list--option { padding: 0; }
    #rows > .option-list--option-highlighted { background: #3b4252; }
    #details { height: 5; border-top: solid $primary; }
    #keys { height: 1; background: $panel; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("s", "sort(1)", "sort"),
        Binding("S", "sort(-1)", "sort back"),
        Binding("r", "reverse", "reverse"),
        Binding("l", "logs", "logs"),
        Binding("enter", "logs", "logs", priority=False),
        Binding("e", "events", "events"),
        Binding("space", "refresh_now", "refresh"),
        Binding("question_mark,h", "help", "help"),
    ]

    def __init__(
        self,
        choose: Callable[[], Sequence[InstanceDir]],
        sort: str,
        interval: float,
        observer: Observer | None = None,
        services: Callable[[], list[str]] | None = None,
    ) -> None:
        """`choose` names the instances anew at each look: some come and go.

        `services` makes the lines about services that stand above them.
        """
        super().__init__()
        self._services = services
        self._choose = choose
        self._interval = interval
        self._observer = observer or Observer()
        self._looking = threading.Lock()
        self._problem = ""
        self._seen_at = 0.0
        self._host = socket.gethostname()
        self.sort = sort
        self.is_reversed = False
        self.rows: list[Row] = []
        self.service_lines: list[str] = []
        self.shape: Layout = top_text.layout((), 80)

    def compose(self) -> ComposeResult:
        """From top to bottom: what all are, the list, the selected one, the keys."""
        yield Static(id="summary")
        yield Static(id="services")
        yield Static(id="heading")
        yield OptionList(id="rows", compact=True)
        yield Static(id="details")
        yield Static(KEYS, id="keys")

    def on_mount(self) -> None:
        """Look at once, and then every interval."""
        self.query_one(OptionList).focus()
        self.set_interval(self._interval, self.look)
        self.set_interval(1.0, self._draw_times)
        self.look()

    # -- looking --------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at all instances, in a thread; one look at a time."""
        if self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="top", daemon=True).start()

    def _look(self) -> None:
        problem, rows = "", None
        lines: list[str] = []
        try:
            lines = self._services() if self._services is not None else []
            rows = self._observer.look(self._choose(), DEADLINE, patience=PATIENCE)
        except DeployError as error:
            problem = str(error)
        finally:
            self._looking.release()
        if self.is_running:
            self.call_from_thread(self.show, rows, problem, lines)

    def show(
        self, rows: Sequence[Row] | None, problem: str = "", lines: Sequence[str] = ()
    ) -> None:
        """Draw what was seen; None: nothing could be, and what was seen before stays."""
        self.service_lines = [one_line(line) for line in lines]
        self._problem = problem
        if rows is not None:
            self.rows = list(rows)
            self._seen_at = time.time()
        self._draw()

    # -- drawing --------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Columns come and go with the width, which is known once it is laid out."""
        self.call_after_refresh(self._draw)

    def _draw_times(self) -> None:
        """Ages and what is expected go on between two looks."""
        self._draw()

    def _draw(self) -> None:
        listed = self.screen_stack[0].query_one(OptionList) if self.screen_stack else None
        if listed is None or not listed.is_mounted:
            return
        selected = self.selected_name
        rows = ordered(self.rows, self.sort, reverse=self.is_reversed)
        scrollbar = len(rows) > listed.size.height
        self.shape = top_text.layout(rows, max(20, self.size.width - scrollbar))
        now = time.time()
        options = [
            Option(as_text(top_text.row_line(row, self.shape, now)), id=row.name) for row in rows
        ]
        names = [row.name for row in rows]
        if names == [option.id for option in listed.options]:
            for name, option in zip(names, options, strict=True):
                listed.replace_option_prompt(name, option.prompt)
        else:
            at = listed.highlighted or 0
            listed.clear_options()
            listed.add_options(options)
            if options:
                row_number = names.index(selected) if selected in names else min(at, len(names) - 1)
                listed.highlighted = row_number
        base = self.screen_stack[0]
        text = "\n".join([*self.service_lines, *([""] if self.service_lines else [])])
        base.query_one("#services", Static).update(Text(text, no_wrap=True, end=""))
        base.query_one("#heading", Static).update(as_text(top_text.heading(self.shape, self.sort)))
        base.query_one("#summary", Static).update(self._summary())
        base.query_one("#details", Static).update(self._details())

    def _summary(self) -> Text:
        clock = time.strftime("%H:%M:%S", time.gmtime(self._seen_at)) + "Z" if self._seen_at else ""
        order = f"by {self.sort}{' reversed' if self.is_reversed else ''}"
        left = self._problem or (top_text.summary(self.rows) if self._seen_at else "looking ...")
        left = f"{self._host}: {left}"
        right = f"  {order}  {clock} "
        room = max(10, self.size.width - len(right) - 1)
        text = Text(no_wrap=True, end="")
        text.append(f" {clip(one_line(left), room - 1, '…'):<{room}}{right}")
        return text

    def _details(self) -> Text:
        row = next((row for row in self.rows if row.name == self.selected_name), None)
        text = Text(end="")
        if row is None:
            hint = "no instances: `ernie-deploy up PROFILE` starts one" if self._seen_at else ""
            text.append(hint, "dim")
            return text
        lines = top_text.details(row, time.time(), self.shape)
        for line in lines[:DETAILS]:
            text.append_text(as_text(line)).append("\n")
        return text

    def on_option_list_option_highlighted(self) -> None:
        """Tell more about another one."""
        if self.screen_stack:  # empty where the view was left in the meantime
            self.screen_stack[0].query_one("#details", Static).update(self._details())

    # -- keys -----------------------------------------------------------------------------------

    @property
    def selected_name(self) -> str | None:
        """The instance under the cursor."""
        listed = self.screen_stack[0].query_one(OptionList)
        if listed.highlighted is None or listed.highlighted >= listed.option_count:
            return None
        return listed.get_option_at_index(listed.highlighted).id

    def action_sort(self, step: int) -> None:
        """Take the next order, or the one before."""
        names_of_sorts = list(SORTS)
        self.sort = names_of_sorts[(names_of_sorts.index(self.sort) + step) % len(names_of_sorts)]
        self._draw()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.is_reversed = not self.is_reversed
        self._draw()

    def action_refresh_now(self) -> None:
        """Do not wait for the interval."""
        self.look()

    def on_option_list_option_selected(self) -> None:
        """Enter, or a click."""
        self.action_logs()

    def action_logs(self) -> None:
        """The logs of the selected instance."""
        self._open("logs", log_lines)

    def action_events(self) -> None:
        """The events of the selected instance."""
        self._open("events", event_lines)

    def _open(self, what: str, lines: Lines) -> None:
        name = self.selected_name
        if name is None or len(self.screen_stack) > 1:
            return
        from launcher.instance.store import instance_dir

        self.push_screen(LinesPage(f"{what} of {name}", lambda: lines(instance_dir(name))))

    def action_help(self) -> None:
        """The keys and the columns."""
        if len(self.screen_stack) == 1:
            self.push_screen(HelpPage(HELP))


KEYS = " q quit  s sort  r reverse  l logs  e events  space refresh  ? help"


def run(
    choose: Callable[[], Sequence[InstanceDir]],
    sort: str,
    interval: float,
    services: Callable[[], list[str]] | None = None,
) -> None:
    """Show the live view until it is closed."""
    TopApp(choose, sort, interval, services=services).run()

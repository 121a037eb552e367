"""The live view of `top`: drawn, sorted and left by keys, as textual's Pilot presses them."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, RichLog, Static

from launcher.errors import PreconditionError
from launcher.instance.store import InstanceDir
from launcher.keeper.events import Events
from launcher.keeper.state import State, write_state
from launcher.lifecycle import InstanceState
from launcher.observe.overview import SORTS, Observer, Overview, Row
from launcher.report.top_pages import HelpPage, LinesPage
from launcher.report.top_text import layout
from launcher.report.top_view import TopApp
from tests.report.test_top_text import ROWS

Act = Callable[[TopApp, "Pilot[None]"], Awaitable[None]]


class Canned(Observer):
    """What a test wants to be seen."""

    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__()
        self.rows = list(rows)
        self.looks = 0
        self.gate: threading.Event | None = None

    def look(
        self, instances: Sequence[InstanceDir], deadline: float, *, patience: float = 0.0,
        once: bool = False,
    ) -> list[Row]:  # fmt: skip
        self.looks += 1
        if self.gate is not None:
            self.gate.wait(60)
        return self.rows


def play(
    act: Act,
    observer: Observer | None = None,
    *,
    size: tuple[int, int] = (80, 24),
    interval: float = 3600.0,
    choose: Callable[[], Sequence[InstanceDir]] = tuple,
) -> TopApp:
    """Run the view, and `act` in it once its first look is drawn."""
    app = TopApp(choose, "state", interval, observer or Canned(ROWS))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(app._seen_at or app._problem))
            await act(app, pilot)

    asyncio.run(run())
    return app


async def until(pilot: "Pilot[None]", condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "not seen"
        await asyncio.sleep(0.01)
        await pilot.pause()


def names(app: TopApp) -> list[str | None]:
    return [option.id for option in app.screen_stack[0].query_one(OptionList).options]


def text(app: TopApp, name: str) -> str:
    return str(app.screen_stack[0].query_one(f"#{name}", Static).content)


def test_problems_first_and_what_they_are() -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        assert names(app)[:2] == ["ernie-21b-thinking", "old"]
        assert "1 stalled, 1 died, 1 starting" in text(app, "summary")
        assert text(app, "heading").startswith("NAME ")
        assert "no progress for 40 s" in text(app, "details")
        await pilot.press("down")
        await pilot.pause()
        assert app.selected_name == "old"
        assert "lower max-model-len" in text(app, "details")

    play(act)


def test_the_keys_of_the_order() -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.press("s")
        assert app.sort == list(SORTS)[1]
        assert names(app) == sorted(name for name in names(app) if name)
        selected = app.selected_name
        await pilot.press("r")
        await pilot.pause()
        assert names(app) == sorted((name for name in names(app) if name), reverse=True)
        assert app.selected_name == selected, "the cursor stays on its instance"
        assert "by name reversed" in text(app, "summary")
        await pilot.press("S", "S")
        assert app.sort == list(SORTS)[-1], "round the other way"

    play(act)


def test_a_new_look_keeps_the_cursor_on_its_instance() -> None:
    observer = Canned(ROWS)

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.press("end")
        assert app.selected_name == "spare"
        observer.rows = [replace(ROWS[0], name="a-new-one"), *ROWS]
        await pilot.press("space")
        await until(pilot, lambda: "a-new-one" in names(app))
        assert app.selected_name == "spare"
        observer.rows = list(ROWS[:2])
        await pilot.press("space")
        await until(pilot, lambda: len(names(app)) == 2)
        assert app.selected_name == "old", "its instance is gone: the nearest"
        observer.rows = []
        await pilot.press("space")
        await until(pilot, lambda: not names(app))
        await pilot.press("l", "e", "enter")
        assert len(app.screen_stack) == 1, "nothing is selected"
        assert "`ernie-deploy up PROFILE` starts one" in text(app, "details")

    play(act, observer)


def test_a_look_that_hangs_leaves_the_keys_alive() -> None:
    observer = Canned(ROWS)

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        observer.gate = threading.Event()
        looks = observer.looks
        await pilot.press("space", "space", "space", "s")
        assert app.sort == list(SORTS)[1]
        assert observer.looks == looks + 1, "one look at a time"
        observer.gate.set()

    play(act, observer)


def test_looks_come_by_themselves() -> None:
    observer = Canned(ROWS)

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: observer.looks >= 3)

    play(act, observer, interval=0.05)


def test_a_state_directory_that_cannot_be_read_is_told() -> None:
    def unreadable() -> Sequence[InstanceDir]:
        raise PreconditionError.of("state-not-readable", "it is root's")

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        assert "it is root's" in text(app, "summary")

    play(act, choose=unreadable)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_change_of_width_changes_the_columns(width: int) -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.resize_terminal(width, 24)
        details, figures = width == 120, width > 40
        await until(pilot, lambda: ("DETAIL" in text(app, "heading")) == details)
        await until(pilot, lambda: ("KV" in text(app, "heading")) == figures)
        assert len(text(app, "heading").rstrip()) <= width

    play(act, size=(100, 24))


def test_only_a_list_that_is_longer_than_its_room_has_a_scrollbar() -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        listed = app.screen_stack[0].query_one(OptionList)
        several = [replace(ROWS[0], name=f"n{number}") for number in range(40)]
        app.show(several[:2])
        await pilot.pause()
        room = listed.size.height
        app.show(several[:room])
        assert app.shape == layout(several[:room], 150)
        app.show(several[: room + 1])
        assert app.shape == layout(several[: room + 1], 149) != layout(several[: room + 1], 150)

    play(act, size=(150, 24))


def test_help_and_back() -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpPage)
        for key in ("q", "escape"):
            await pilot.press(key)
            await pilot.pause()
            assert len(app.screen_stack) == 1
            if key == "q":
                await pilot.press("h")
                await pilot.pause()

    play(act)


def test_q_leaves() -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)

    assert play(act).return_code == 0


# -- the pages of one instance ------------------------------------------------------------------


@pytest.fixture
def one(home: Path) -> InstanceDir:
    instance = InstanceDir(home / "instances" / "one")
    (instance.folder / "logs" / "engine").mkdir(parents=True)
    write_state(instance.folder, State("one", "t", state=InstanceState.STOPPED))
    (instance.folder / "plan.json").write_text(json.dumps({"schema": "ernie-deploy/plan/1"}))
    return instance


def lines_of(app: TopApp) -> list[str]:
    return [line.text for line in app.screen.query_one(RichLog).lines]


def opened(one: InstanceDir, key: str, act: Act) -> None:
    """Open a page of the instance by a key, in a view that looks at real files."""

    async def open_and_act(app: TopApp, pilot: "Pilot[None]") -> None:
        assert names(app) == ["one"]
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, LinesPage))
        await act(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: len(app.screen_stack) == 1)

    play(open_and_act, Observer(), choose=lambda: (one,))


@pytest.mark.parametrize("key", ["l", "enter"])
def test_logs_are_shown_and_followed_without_secrets(one: InstanceDir, key: str) -> None:
    one.engine_log.write_text("first\nFD_API_KEY=abcdef123456\n\x1b[2Jclean\n")

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: len(lines_of(app)) == 3)
        assert lines_of(app) == ["first", "FD_API_KEY=[redacted]", "clean"]
        with one.engine_log.open("a") as file:
            file.write("later\n")
        await until(pilot, lambda: "later" in lines_of(app))

    opened(one, key, act)


def test_the_newest_line_is_followed_until_the_reader_goes_up(one: InstanceDir) -> None:
    one.engine_log.write_text("".join(f"line {number}\n" for number in range(60)))

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        log = app.screen.query_one(RichLog)

        async def write(text: str) -> None:
            with one.engine_log.open("a") as file:
                file.write(f"{text}\n")
            await until(pilot, lambda: text in lines_of(app))
            await pilot.pause()

        await until(pilot, lambda: 0 < log.max_scroll_y == log.scroll_offset.y)
        await write("later")
        await until(pilot, lambda: log.scroll_offset.y == log.max_scroll_y)
        await pilot.press("g")
        await until(pilot, lambda: log.scroll_offset.y == 0)
        await write("latest")
        assert log.scroll_offset.y == 0
        await pilot.press("G")
        await until(pilot, lambda: log.scroll_offset.y == log.max_scroll_y)

    opened(one, "l", act)


def test_a_flood_of_lines_is_cut_and_the_keys_stay_alive(one: InstanceDir) -> None:
    one.engine_log.write_text("begin\n")

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: "begin" in lines_of(app))
        with one.engine_log.open("a") as file:
            file.write("x\n" * 50_000 + "the last\n")
        await until(pilot, lambda: "the last" in lines_of(app))
        assert any("lines are left out" in line for line in lines_of(app))
        assert len(lines_of(app)) < 2_000
        await pilot.press("g", "G")

    opened(one, "l", act)


def test_events_are_shown_and_followed(one: InstanceDir) -> None:
    writer = Events(one.folder)
    writer.append("state", state="ready", seconds=2.0)

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: len(lines_of(app)) == 1)
        assert lines_of(app)[0].split()[2:] == ["state", "ready", "after", "2", "s"]
        writer.append("failure", code="no-room", message="out of memory")
        await until(pilot, lambda: len(lines_of(app)) == 2)
        assert lines_of(app)[1].endswith("no-room: out of memory")

    opened(one, "e", act)
    writer.close()


def test_a_page_that_cannot_be_read_says_so(one: InstanceDir) -> None:
    one.engine_log.mkdir()

    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.pause()
        assert lines_of(app) == []

    opened(one, "l", act)


def test_no_thread_outlives_the_view(one: InstanceDir) -> None:
    async def act(app: TopApp, pilot: "Pilot[None]") -> None:
        await pilot.pause()

    opened(one, "e", act)
    end = time.monotonic() + 60
    while any(thread.name == "top page" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_rows_are_those_of_once() -> None:
    assert Overview(ROWS, "state", 0.0).instances == ROWS

"""No output can stall keeper or engine: what is looked at is bounded, and chosen well."""

import time
from collections.abc import Callable, Sequence
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.diagnose.literals import required
from launcher.engines.rules import failure_rules
from launcher.keeper import line_sampling
from launcher.keeper.line_sampling import ASIDE, BURST, LONGEST, SHARE, Attention
from launcher.keeper.loop import Loop
from launcher.keeper.output import Splitter
from launcher.keeper.watch import LONGEST_LINE
from launcher.log_records import LONGEST_RECORD
from launcher.plain import plain


class Watched:
    """An `Attention` whose every look costs `cost` seconds of a clock made for the test."""

    def __init__(self, cost: float, texts: Sequence[str] | None = None) -> None:
        self.loop = Loop()
        self.seen: list[str] = []
        self.drops = 0
        self.spent = self.time = 0.0
        self.cost = cost
        self.attention = Attention(
            self.loop, self._line, texts, self._drop,
            spent=lambda: self.spent, now=lambda: self.time,
        )  # fmt: skip

    def _line(self, source: str, file: str, text: str, final: bool) -> None:
        self.seen.append(text)
        self.spent += self.cost

    def _drop(self) -> None:
        self.drops += 1

    def write(self, *texts: str) -> None:
        self.attention.lines("engine", "stderr", [(text.encode(), True) for text in texts])

    def let_pass(self, seconds: float, until: Callable[[], bool]) -> None:
        """Time passes, and the loop turns, until what was put aside has been looked at."""

        def done() -> bool:
            self.time += seconds
            return until()

        assert self.loop.run_until(done, 60.0)


def test_what_comes_slowly_is_looked_at_in_its_order() -> None:
    watched = Watched(cost=BURST / 100)
    watched.write(*map(str, range(50)))
    assert watched.seen == [str(n) for n in range(50)]
    assert watched.drops == 0


def test_a_flood_costs_no_more_than_its_budget() -> None:
    watched = Watched(cost=0.01)
    for number in range(200):
        watched.write(*(f"{number} {n}" for n in range(100)))
    assert watched.spent < BURST + 0.02
    watched.time += 10.0
    assert watched.spent < BURST + SHARE * 10


def test_of_a_flood_the_newest_lines_and_those_of_errors_are_looked_at_later() -> None:
    watched = Watched(cost=0.01)
    flood = [f"line {n}" for n in range(5000)]
    flood[2500] = "CUDA error: out of memory"
    watched.write(*flood)
    watched.write("the last one")
    watched.let_pass(10.0, lambda: "the last one" in watched.seen)
    assert "CUDA error: out of memory" in watched.seen
    assert "line 4999" in watched.seen
    assert "line 3000" not in watched.seen
    assert watched.drops == 1, "told once"
    watched.write(*flood)
    assert watched.drops == 1


def test_a_death_waits_for_no_budget() -> None:
    watched = Watched(cost=1.0)
    watched.write("one", "two", "three", "FATAL last words")
    assert watched.seen == ["one"]
    watched.attention.last_words()
    assert watched.seen == ["one", "FATAL last words", "two", "three"]


def test_what_is_kept_aside_has_a_bound() -> None:
    watched = Watched(cost=1.0)
    for _ in range(50):
        watched.write(*("an error " + "x" * LONGEST * 3 for _ in range(50)))
    watched.seen.clear()
    watched.attention.last_words()
    assert len(watched.seen) <= 2 * ASIDE
    assert max(map(len, watched.seen)) <= LONGEST


@pytest.mark.parametrize(
    ("line", "looked_at"),
    [
        ("Loading weights: 7%", True),
        ("\x1b[32mLoading \x1b[1mwei\x1b[0mghts: 7%", True),
        ("Load\x00ing \x9b1mweights: 7%", True),
        ("ordinary words", False),
        ("", False),
    ],
)
def test_only_lines_with_a_text_of_a_rule_are_looked_at(line: str, looked_at: bool) -> None:
    watched = Watched(cost=0.0, texts=("Loading weights", "out of memory"))
    watched.write("before", line, "after")
    assert watched.seen == ([line] if looked_at else [])


@pytest.mark.parametrize("filler", [".", "n", "\u009d", "\u4e00", "\U0001f600"])
def test_of_a_long_line_is_searched_what_the_rules_read_and_no_more(filler: str) -> None:
    text = "out of memory"
    watched = Watched(cost=0.0, texts=(text,))
    inside = filler * (LONGEST_LINE - len(text)) + text
    watched.write(inside + filler * LONGEST, filler * LONGEST_LINE + text, "after")
    assert watched.seen == [inside]


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "out of",
                    " memory",
                    "Loading",
                    "\x1b[1m",
                    "\x1b[0m",
                    "\x00",
                    "x",
                    "你",
                    "\x9d",
                    "e",
                ]
            ),
            max_size=6,
        ).map("".join),
        max_size=12,
    ),
    st.booleans(),
    st.integers(4, 40),
)
def test_of_a_block_are_looked_at_the_lines_that_are_looked_at_one_by_one(
    lines: list[str], is_known: bool, longest: int
) -> None:
    texts = ("out of memory", "Loading", "xx") if is_known else None
    block, single = Watched(cost=0.0, texts=texts), Watched(cost=0.0, texts=texts)
    with (
        mock.patch.object(line_sampling, "LONGEST_LINE", longest),
        mock.patch.object(line_sampling, "LONGEST", 4 * longest),
    ):
        block.attention.lines("engine", "stderr", [("\n".join(lines).encode(), True)])
        for line in lines or [""]:
            single.write(line)
    assert block.seen == single.seen
    if is_known:
        holders = [x for x in lines if any(t in plain(x[:longest]) for t in texts or ())]
        assert block.seen == [x[:longest] for x in holders]


@given(st.lists(st.sampled_from(["a line", "an error", "FATAL", ""]), min_size=1, max_size=300))
def test_of_a_block_are_kept_aside_the_lines_that_are_kept_of_many(lines: list[str]) -> None:
    """The newest of both kinds, in their order."""
    block, single = Watched(cost=BURST * 2), Watched(cost=BURST * 2)
    for watched in (block, single):
        watched.write("first")
    block.attention.lines("engine", "stderr", [("\n".join(lines).encode(), True)])
    for line in lines:
        single.write(line)
    for watched in (block, single):
        watched.attention.last_words()
    severe = [x for x in lines if x in ("an error", "FATAL")][-ASIDE:]
    assert block.seen[1 : 1 + len(severe)] == single.seen[1 : 1 + len(severe)] == severe
    assert set(lines[-ASIDE:]) <= set(block.seen)


def test_a_line_is_kept_aside_for_what_the_rules_read_of_it() -> None:
    watched = Watched(cost=BURST * 2)
    late = "." * LONGEST_LINE + "FATAL"
    watched.write("first", *("." * 40 for _ in range(ASIDE)), late, "FATAL", "last")
    watched.attention.last_words()
    assert watched.seen[:2] == ["first", "FATAL"]
    assert late[:LONGEST_LINE] in watched.seen


def test_no_character_makes_the_search_slower_than_ordinary_lines_do() -> None:
    """In a run of dots, or of `n`, a search for a text with one of them steps once a character."""
    rules = failure_rules("fastdeploy")
    texts = [text for rule in rules if rule.fatal for text in required(rule.pattern) or ()]

    def seconds(line: str) -> float:
        lines = [line] * (128 * 1024 // len(line))
        spent = []
        for _ in range(7):
            watched = Watched(cost=0.0, texts=texts)
            begun = time.thread_time()
            watched.write(*lines)
            spent.append(time.thread_time() - begun)
            assert not watched.seen
        return min(spent)

    ordinary = seconds('INFO: 127.0.0.1:43210 - "POST /v1/chat/completions HTTP/1.1" 200 OK')
    slow = {c: s for c in ".nN -_/aeost" if (s := seconds(c * 4000)) > 1.5 * ordinary}
    assert not slow, ordinary


def test_an_unfinished_line_is_looked_at_while_there_is_time() -> None:
    watched = Watched(cost=BURST)
    watched.attention.unfinished("engine", "stderr", b"Loading: 40%")
    watched.attention.unfinished("engine", "stderr", b"Loading: 50%")
    assert watched.seen == ["Loading: 40%"]
    watched.time += 10
    watched.attention.unfinished("engine", "stderr", b"Loading: 60%" + b"#" * 10 * LONGEST)
    assert watched.seen[1].startswith("Loading: 60%")
    assert len(watched.seen[1]) == LONGEST_LINE


@pytest.mark.parametrize("block", [1000, LONGEST_RECORD, 10 * LONGEST_RECORD])
@pytest.mark.parametrize("length", [LONGEST_RECORD - 1, LONGEST_RECORD + 1, 3 * LONGEST_RECORD])
def test_the_rest_of_a_line_that_was_cut_is_not_taken_for_a_line(block: int, length: int) -> None:
    """A client's long request stands in it, and that could name any failure."""
    watched, splitter = Watched(cost=0), Splitter()
    request = b"INFO request: " + b"EngineDeadError" * (length // 15)
    text = b"before\n" + request + b"\nafter\n" + request + b"\nlast\n"
    for at in range(0, len(text), block):
        watched.attention.lines("engine", "stderr", splitter.feed(text[at : at + block]))
        watched.attention.lines("engine", "stdout", [(b"besides", True)])
    lines = [line for line in watched.seen if line != "besides"]
    assert [line[:10] for line in lines] == ["before", "INFO reque", "after", "INFO reque", "last"]
    assert watched.seen.count("besides") == len(range(0, len(text), block))

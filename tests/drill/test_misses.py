"""A measured value against its bar."""

from launcher.drill.bar import Bar, Miss
from launcher.drill.misses import misses
from launcher.drill.payloads import Measured, RequestCounts

WITHIN_BARS = Measured(detection=0.05, restart=0.5)
DEATH = Bar(detection=0.1, restart=1.0)


def missed(bar: Bar, measured: Measured, restarts: bool = True) -> list[str]:
    return [one.name for one in misses(bar, measured, restarts=restarts)]


def test_what_is_within_its_bars_misses_none() -> None:
    assert missed(DEATH, WITHIN_BARS) == []


def test_a_value_that_equals_its_bar_is_within_it() -> None:
    assert missed(DEATH, Measured(detection=0.1, restart=1.0)) == []


def test_a_late_value_is_a_miss_that_names_both() -> None:
    (miss,) = misses(DEATH, Measured(detection=0.25, restart=0.5), restarts=True)
    assert miss == Miss("detection", 0.1, 0.25, "detection: 0.250 s (bar: 0.1 s)")


def test_what_never_happened_is_a_miss() -> None:
    assert missed(DEATH, Measured()) == ["detection", "restart"]


def test_a_profile_that_never_restarts_is_not_judged_by_its_restart() -> None:
    assert missed(DEATH, Measured(detection=0.01), restarts=False) == []


def test_counts_are_judged_where_they_have_a_bar() -> None:
    beyond_bars = Measured(
        requests=RequestCounts(failed=3, hung=1),
        false_verdicts=("called stalled",),
        leftovers=("port 1 (api)", "process 2 (x)"),
    )
    assert missed(Bar(), beyond_bars) == ["hung", "false_verdicts", "leftovers"]
    assert missed(Bar(failed=2, hung=1, false_verdicts=1, leftovers=2), beyond_bars) == ["failed"]
    assert (
        missed(Bar(failed=None, hung=None, false_verdicts=None, leftovers=None), beyond_bars) == []
    )

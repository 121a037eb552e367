"""The rows of `top`: from real instances, within a deadline, whatever a server does."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.codec import encode
from launcher.host.gpus import Gpu, GpuProcess, GpuReport
from launcher.instance.store import InstanceDir
from launcher.keeper.state import EndError, LivenessRecord, State, write_state
from launcher.lifecycle import InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe import overview
from launcher.observe.figures import Load
from launcher.observe.overview import SORTS, Observer, Row, ordered
from tests.support.as_json import as_json
from tests.support.rig import Rig

NO_GPUS = GpuReport(error="none here")
READY = InstanceState.READY


def observer(report: GpuReport = NO_GPUS) -> Observer:
    return Observer(lambda: report)


def exposition(rig: Rig, **values: float) -> str:
    path = Path(rig.path("exposition"))
    part = path.with_suffix(".part")
    part.write_text("".join(f"fake:{name} {value}\n" for name, value in values.items()))
    part.rename(path)
    return str(path)


def instance(rig: Rig, name: str = "one") -> InstanceDir:
    return InstanceDir(rig.instance(name))


def test_a_ready_server_with_its_figures(rig: Rig) -> None:
    script = {"exposition": exposition(rig, running=0, waiting=0, tokens_total=7, kv_usage=0.5)}
    rig.up(script=script)
    (row,) = observer().look([instance(rig)], 30.0)
    assert (row.state, row.engine, row.release, row.restarts) == (READY, "scripted", "1.0", 0)
    assert row.since == rig.stored()["ready_at"]
    assert row.load == Load(0, 0, False, 7, 0.0, None, None, 0.5)
    assert not row.is_problem
    rig.down()


def test_the_rate_comes_with_the_second_look(rig: Rig) -> None:
    script = {"exposition": exposition(rig, running=1, waiting=0, tokens_total=100)}
    rig.up(script=script)
    watching = observer()
    (row,) = watching.look([instance(rig)], 30.0)
    assert row.load is not None
    assert row.load.tokens_per_second is None
    exposition(rig, running=1, waiting=0, tokens_total=400)
    (row,) = watching.look([instance(rig)], 30.0)
    assert row.load is not None
    assert row.load.tokens_per_second is not None
    assert row.load.tokens_per_second > 0
    rig.down()
    (row,) = watching.look([instance(rig)], 30.0)
    assert (row.state, row.load) == (InstanceState.STOPPED, None)
    rig.up(script=script)
    (row,) = watching.look([instance(rig)], 30.0)
    assert row.load is not None
    assert row.load.tokens_per_second is None, "another run's counters begin no rate"
    rig.down()


def test_once_reads_a_busy_server_twice(rig: Rig) -> None:
    """One reading tells no rate of what is busy."""
    rig.up(script={"exposition": exposition(rig, running=2, waiting=0, tokens_total=5)})
    (row,) = observer().look([instance(rig)], 30.0)
    assert row.load is not None
    assert row.load.tokens_per_second is None
    (row,) = observer().look([instance(rig)], 30.0, once=True)
    assert row.load is not None
    assert row.load.tokens_per_second == 0.0
    rig.down()


def test_a_server_that_hangs_delays_nobody(rig: Rig) -> None:
    rig.up("well", {"exposition": exposition(rig, running=0, tokens_total=5)})
    rig.up("hung", {"exposition": "hang"})
    rig.up("gone", {"exposition": rig.path("not-there")})
    both = [instance(rig, name) for name in ("well", "hung", "gone")]
    watching = observer()
    began = time.monotonic()
    well, hung, gone = watching.look(both, 1.0, once=True)
    assert time.monotonic() - began < 10.0
    assert well.load is not None
    assert (hung.state, hung.load) == (READY, None)
    assert hung.note in ("GET /metrics timed out", "it could not be read in time")
    assert gone.note == "GET /metrics: answered 500"
    live = observer()
    for _ in range(3):
        began = time.monotonic()
        well, hung, gone = live.look(both, 0.5, patience=3600.0)
        assert time.monotonic() - began < 10.0
        assert (hung.state, hung.note) == (READY, None), "late, and not asked again"
    assert sum(thread.is_alive() for thread in threading.enumerate() if "work" in thread.name) <= 2
    for name in ("well", "hung", "gone"):
        rig.run("down", name)


def test_a_disk_that_hangs_is_told_in_the_live_view_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(overview, "view", lambda instance: go.wait(60))
    monkeypatch.setattr(overview, "LATE", 0.0)
    instance(rig).folder.mkdir(parents=True)
    (row,) = observer().look([instance(rig)], 0.05)
    assert (row.state, row.note) == (InstanceState.UNKNOWN, "it could not be read in time")
    go.set()


def test_a_broken_instance_hides_no_other(rig: Rig) -> None:
    for name, text in (("a", "{"), ("b", '{"schema": "ernie-deploy/state/99"}')):
        instance(rig, name).folder.mkdir(parents=True)
        (rig.instance(name) / "state.json").write_text(text)
    write(rig, State("c", "t", state=InstanceState.STOPPED))
    rows = observer().look([instance(rig, name) for name in "abc"], 30.0)
    states = [row.state for row in rows]
    assert states == [InstanceState.DAMAGED, InstanceState.DAMAGED, InstanceState.STOPPED]
    assert [row.is_problem for row in rows] == [True, True, False]


def write(rig: Rig, state: State) -> None:
    rig.instance(state.instance).mkdir(parents=True, exist_ok=True)
    write_state(rig.instance(state.instance), state)


def test_a_failure_comes_with_its_cause_and_what_to_do(rig: Rig) -> None:
    error = EndError("gpu-out-of-memory", "no room", None, "smaller")
    state = State("c", "t", state=InstanceState.FAILED, error=error, restarts=4, ended_at=9.0)
    write(rig, state)
    (row,) = observer().look([instance(rig, "c")], 30.0)
    assert (row.error, row.remedy, row.restarts, row.since) == ("no room", "smaller", 4, 9.0)


def test_a_verdict_and_its_reasons(rig: Rig) -> None:
    rig.up()
    with rig.paused_keeper():
        state = instance(rig).state()
        assert state is not None
        state.liveness = LivenessRecord(Liveness.STALLED, 5.0, ("nothing moves",))
        write(rig, state)
        (row,) = observer().look([instance(rig)], 30.0)
    assert (row.verdict, row.verdict_since) == (Liveness.STALLED, 5.0)
    assert row.reasons == ("nothing moves",)
    assert row.is_problem
    rig.down()


def test_a_load_with_what_earlier_ones_took(rig: Rig) -> None:
    rig.up()
    rig.down()
    go = rig.path("go")
    script = {"before": [{"print": "PHASE weights 25%"}, {"wait": go}]}
    up = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state("loading")
    from tests.support.waiting import wait_for

    wait_for(lambda: observer().look([instance(rig)], 30.0)[0].percent == 25.0, "the phase")
    (row,) = observer().look([instance(rig)], 30.0)
    assert row.phase == "weights"
    assert row.expected_seconds is not None
    assert row.since == rig.stored()["started_at"]
    Path(go).touch()
    up.communicate(timeout=600)
    rig.down()


def card(*processes: GpuProcess) -> Gpu:
    return Gpu(0, "GPU-0", "card", None, 80 << 30, 1 << 30, processes)


def test_the_memory_of_its_processes_on_all_gpus(rig: Rig) -> None:
    rig.up()
    pid = rig.engine()
    report = GpuReport(
        (card(GpuProcess(pid, 3 << 30), GpuProcess(1, 9 << 30)), card(GpuProcess(pid, 1 << 30)))
    )
    (row,) = observer(report).look([instance(rig)], 30.0)
    assert row.gpu_memory == 4 << 30
    hidden = GpuReport((card(GpuProcess(1, None)),))
    (row,) = observer(hidden).look([instance(rig)], 30.0)
    assert row.gpu_memory is None
    rig.down()


def test_a_driver_that_hangs_is_asked_once_and_delays_nothing(rig: Rig) -> None:
    questions = []
    go = threading.Event()

    def slow() -> GpuReport:
        questions.append(1)
        go.wait(60)
        return NO_GPUS

    watching = Observer(slow)
    for _ in range(3):
        began = time.monotonic()
        watching.look([], 0.05)
        assert time.monotonic() - began < 5.0
    assert len(questions) == 1
    go.set()


ROWS = (
    Row("b", READY, Liveness.BUSY, since=10.0, load=Load(5, 2, False, 9, 80.0, 0.5, 1, 0.9)),
    Row("a", READY, Liveness.IDLE, since=20.0, load=Load(0, 0, False, 9, 0.0, 2.0, 1, 0.1)),
    Row("f", READY, verdict=Liveness.STALLED, since=5.0),
    Row("d", InstanceState.LOADING, since=30.0, restarts=3),
    Row("e", InstanceState.STOPPED, since=1.0),
    Row("c", InstanceState.DIED, gpu_memory=5),
)  # fmt: skip


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("state", "cfdabe"), ("name", "abcdef"), ("queue", "bacdef"), ("tokens", "bacdef"),
        ("ttft", "abcdef"), ("kv", "bacdef"), ("gpu", "cabdef"), ("restarts", "dabcef"),
        ("age", "dabfec"),
    ],
)  # fmt: skip
def test_each_order(sort: str, names: str) -> None:
    assert "".join(row.name for row in ordered(ROWS, sort)) == names


def test_every_order_takes_rows_without_figures() -> None:
    bare = [Row(name, state) for name, state in zip("ab", InstanceState, strict=False)]
    key: Callable[[Row], object]
    for key in SORTS.values():
        assert key(bare[0]) is not None
    for sort in SORTS:
        assert len(ordered(bare, sort, reverse=True)) == 2


def test_a_row_is_json_without_what_is_not_known() -> None:
    assert as_json(Row("a", InstanceState.STOPPED)) == encode(Row("a", InstanceState.STOPPED))
    assert "verdict" not in as_json(Row("a", InstanceState.STOPPED))

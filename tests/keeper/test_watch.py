"""What the engine's lines say: its phase, and whether it has failed."""

from dataclasses import replace

import pytest

from launcher.engines.rules import book, failure_rules, noise
from launcher.keeper.watch import Watcher
from launcher.lifecycle import InstanceState
from launcher.plan.model import ExitCodeSource, FailureRule, LaunchPlan, Phase, PhaseRule

PLAN = LaunchPlan(
    instance="one", engine="scripted", release="1.0", argv=("/bin/true",), cwd="/",
    log_folder="/nowhere", temporary_folder="/nowhere",
    phases=(Phase("import", "import"), Phase("weights", "weights"), Phase("warm", "warm up")),
    phase_rules=(
        PhaseRule("import", "importing"),
        PhaseRule("weights", r"Loading weights: +(?P<percent>\d+)%"),
        PhaseRule("weights", r"shard (?P<done>\d+)/(?P<total>\d+)"),
        PhaseRule("weights", r"loaded (?P<fraction>[\d.]+)"),
        PhaseRule("warm", "warming", source="worker"),
    ),
    failure_rules=(
        FailureRule("ED-OOM", r"out of memory: (?P<what>.+)", "no memory for {what}", "buy {what}"),
        FailureRule("ED-ANY", "it burns", "it burns", "", when="any"),
        FailureRule("ED-READY", "gone away", "gone", "", when="ready"),
        FailureRule("ED-MILD", "a mere warning", "", "", fatal=False),
    ),
    noise=(r"it burns \(harmless\)",),
    exit_codes=(ExitCodeSource("launch", r"exit code (?P<code>-?\d+)"),),
)  # fmt: skip


def phase(watcher: Watcher, text: str, source: str = "engine") -> tuple[str, float | None] | None:
    match = watcher.phase_of(source, text)
    return (match.phase, match.percent) if match else None


def test_phases_come_with_percent_in_any_spelling() -> None:
    watcher = Watcher(PLAN)
    assert phase(watcher, "importing torch") == ("import", None)
    assert phase(watcher, "Loading weights:   7%|▋  | 1/14") == ("weights", 7.0)
    assert phase(watcher, "shard 1/2") == ("weights", 50.0)
    assert phase(watcher, "loaded 0.75") == ("weights", 75.0)


def test_colours_do_not_hide_a_phase() -> None:
    assert phase(Watcher(PLAN), "\x1b[32mLoading weights: \x1b[1m12%\x1b[0m") == ("weights", 12.0)


def test_phases_only_move_forward() -> None:
    watcher = Watcher(PLAN)
    assert phase(watcher, "shard 1/2") == ("weights", 50.0)
    assert phase(watcher, "importing torch") is None
    assert phase(watcher, "shard 1/4") is None, "the console repeats the worker's lines"
    assert phase(watcher, "warming") is None, "another source's rule"
    assert phase(watcher, "warming", "worker") == ("warm", None)


def test_no_shard_at_all_is_no_percentage() -> None:
    assert phase(Watcher(PLAN), "shard 0/0") == ("weights", None)


@pytest.mark.parametrize(
    ("state", "source", "text", "rule"),
    [
        ("loading", "engine", "out of memory: a tensor", "ED-OOM"),
        ("ready", "engine", "out of memory: a tensor", None),
        ("ready", "engine", "it burns", "ED-ANY"),
        ("loading", "engine", "gone away", None),
        ("ready", "engine", "gone away", "ED-READY"),
        ("loading", "engine", "a mere warning", None),
        ("ready", "engine", "it burns (harmless)", None),
        ("loading", "engine", "x" * 5000 + "it burns", None),
    ],
)
def test_only_fatal_rules_of_this_state_and_source_end_a_start(
    state: InstanceState, source: str, text: str, rule: str | None
) -> None:
    failure = Watcher(PLAN).failure_of(state, source, "engine.log", text)
    assert (failure.rule.id if failure else None) == rule


ENGINES = ("fastdeploy", "vllm", "transformers", "gateway", "haproxy")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "quoting",
    [
        'INFO:     192.0.2.1:5000 - "GET /{} HTTP/1.1" 404 Not Found',
        '192.0.2.1:5000 - [29/Nov/2026:01:02:03 +0000] "POST /{} HTTP/1.1" 404',
        "INFO 11-29 01:02:03 [logger.py:43] Received request c-1: prompt: '{}'",
        "DEBUG    2026-11-29 01:02:03,123 7 api_server.py[line:5] request: {{'prompt': '{}'}}",
        "(APIServer pid=7) INFO 11-29 01:02:03 [logger.py:43] Received request: prompt: '{}'",
        '\x1b[32mINFO\x1b[0m:     192.0.2.1:5000 - "GET /{} HTTP/1.1" 404 Not Found',
    ],
)
def test_a_client_cannot_end_a_server_by_what_it_sends(engine: str, quoting: str) -> None:
    """The server's log quotes paths and prompts, and those could name any failure."""
    watcher = Watcher(replace(PLAN, failure_rules=failure_rules(engine), noise=noise(engine)))
    words = [entry.sample for one in (engine, "common") for entry in book(one).entries]
    words += ["EngineDeadError", "cudaErrorNoKernelImageForDevice"]
    known = 0
    for text in filter(None, words):
        for state in (InstanceState.LOADING, InstanceState.READY):
            alone = watcher.failure_of(state, "engine", "engine.log", text.splitlines()[-1])
            known += alone is not None
            line = quoting.format(text.splitlines()[-1].replace(chr(34), "%22"))
            failure = watcher.failure_of(state, "engine", "engine.log", line)
            assert failure is None, failure
    assert known


def test_the_line_fills_cause_and_remedy() -> None:
    failure = Watcher(PLAN).failure_of(
        InstanceState.LOADING, "engine", "f", "out of memory: a {tensor}"
    )
    assert failure is not None
    assert (failure.cause(), failure.remedy()) == ("no memory for a {tensor}", "buy a {tensor}")


def test_a_group_that_did_not_match_leaves_no_hole_in_the_cause() -> None:
    rule = FailureRule("ED-X", "no (?P<a>cat)|no (?P<b>dog)", "no {a}{b} here ({a})", "get {b}")
    watcher = Watcher(replace(PLAN, failure_rules=(rule,)))
    failure = watcher.failure_of(InstanceState.LOADING, "engine", "f", "no dog")
    assert failure is not None
    assert (failure.cause(), failure.remedy()) == ("no dog here", "get dog")


def test_the_engine_says_that_it_was_told_to_stop() -> None:
    watcher = Watcher(replace(PLAN, told_to_stop=(r"Handling signal: (?P<signal>term|int)\b",)))
    assert watcher.asked_to_stop("engine", "[INFO] Handling signal: term") == "SIGTERM"
    assert watcher.asked_to_stop("engine", "[INFO] Handling signal: hup") is None
    assert watcher.asked_to_stop("worker", "a prompt: Handling signal: term") is None


def test_an_engine_need_not_name_the_signal() -> None:
    watcher = Watcher(replace(PLAN, told_to_stop=(r"Exiting Master process",)))
    assert watcher.asked_to_stop("engine", "[WARNING] (7) : Exiting Master process...") == (
        "a signal"
    )


def test_an_engine_begins_in_its_first_phase() -> None:
    watcher = Watcher(PLAN)
    assert watcher.begin() == "import"
    assert phase(watcher, "shard 1/2") == ("weights", 50.0)
    assert Watcher(replace(PLAN, phases=())).begin() is None


def test_a_log_can_tell_the_workers_exit_code() -> None:
    watcher = Watcher(PLAN)
    watcher.failure_of(InstanceState.LOADING, "engine", "f", "exit code 3")
    assert watcher.worker_exit is None
    watcher.failure_of(InstanceState.LOADING, "launch", "f", "exit code -9")
    assert watcher.worker_exit == -9


def test_a_plan_without_rules_knows_nothing() -> None:
    watcher = Watcher(replace(PLAN, phase_rules=(), failure_rules=()))
    assert watcher.phase_of("engine", "importing") is None
    assert watcher.failure_of(InstanceState.LOADING, "engine", "f", "it burns") is None


def test_a_line_that_says_no_more_than_the_last_is_no_news() -> None:
    watcher = Watcher(PLAN)
    assert phase(watcher, "importing torch") == ("import", None)
    assert phase(watcher, "importing torch again") is None, "the phase alone, a second time"
    assert phase(watcher, "Loading weights:   0%") == ("weights", 0.0)
    assert phase(watcher, "Loading weights:   0%") is None
    assert phase(watcher, "shard 1/2") == ("weights", 50.0)
    assert phase(watcher, "shard 1/2") is None, "an equal percentage"
    assert phase(watcher, "Loading weights:  50%") is None, "whatever its spelling"
    assert watcher.percent == 50.0
    assert phase(watcher, "Loading weights:  51%") == ("weights", 51.0)

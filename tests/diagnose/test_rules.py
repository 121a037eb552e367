"""Every recorded failure gets its rule as the first answer; the data obeys its own form."""

import itertools
import json
import re
from pathlib import Path

import pytest

from launcher.diagnose import Diagnosis, diagnose, of_folder
from launcher.diagnose.literals import required
from launcher.engines import rule_books
from launcher.engines.fastdeploy.failures import rules as fastdeploy_rules
from launcher.engines.rules import RuleEntry, book, failure_rules, noise
from tests.support import ROOT

RULES = [(own.engine, entry) for own in rule_books() for entry in own.entries]
ENTRIES = [pytest.param(engine, entry, id=entry.id) for engine, entry in RULES]
WITH_SAMPLE = [
    pytest.param(engine, entry, id=entry.id) for engine, entry in RULES if entry.pattern is not None
]
OF_AN_ENGINE = [param for param in WITH_SAMPLE if param.values[0] != "common"]
ENGINES = ("fastdeploy", "vllm", "transformers")
HEALTHY, UNRECOGNISED = "healthy", "unrecognised"
STATES = ("loading", "ready")


def log_name(where: str) -> str:
    """The file in which the fact base saw the line."""
    for name in ("launch_worker.log", "workerlog", "launch_cache"):
        if name in where:
            return {"workerlog": "workerlog.0"}.get(name, name)
    return "engine.log"


@pytest.mark.parametrize(("engine", "entry"), WITH_SAMPLE)
def test_a_recorded_sample_gets_its_rule_first(
    engine: str, entry: RuleEntry, tmp_path: Path
) -> None:
    assert entry.sample is not None
    log = tmp_path / log_name(entry.where)
    log.write_text(f"starting\n{entry.sample}\nended\n")
    rules = failure_rules(engine) if engine != "common" else book("common").rules()
    state = "ready" if entry.when == "ready" else "loading"
    answer = diagnose([log], rules, state=state, noise=noise(engine))
    if entry.kind == "noise":
        assert answer.rule_id is None
        assert answer.first_errors == ()
    else:
        assert answer.rule_id == entry.id
        assert answer.evidence is not None
        assert answer.evidence.line == 2
        assert answer.retry == entry.retry


@pytest.mark.parametrize(("engine", "entry"), WITH_SAMPLE)
def test_a_near_miss_gets_another_answer(engine: str, entry: RuleEntry, tmp_path: Path) -> None:
    """A line of the same software that resembles the sample. A wrong cause is worse than none."""
    assert entry.near_miss is not None
    assert entry.near_miss != entry.sample
    engines, states = ((engine,), STATES) if engine != "common" else (ENGINES, ("loading",))
    for name, state in itertools.product(engines, states):
        answer = near_miss_answer(entry, name, state, tmp_path)
        assert answer.rule_id != entry.id
        assert entry.id not in {finding.rule_id for finding in answer.alternatives}
    if entry.kind == "noise":
        # A line that is noise has no rule: only the pattern itself shows the mistake.
        assert entry.pattern is not None
        assert re.search(entry.pattern, entry.near_miss) is None


@pytest.mark.parametrize(("engine", "entry"), OF_AN_ENGINE)
def test_the_answer_to_a_near_miss_is_the_recorded_one(
    engine: str, entry: RuleEntry, tmp_path: Path
) -> None:
    state = "ready" if entry.when == "ready" else "loading"
    answer = near_miss_answer(entry, engine, state, tmp_path)
    if entry.near_miss_expected in (HEALTHY, UNRECOGNISED):
        assert answer.rule_id is None
        assert entry.near_miss_expected == UNRECOGNISED or not answer.conclusive
    else:
        assert answer.rule_id == entry.near_miss_expected


def near_miss_answer(entry: RuleEntry, engine: str, state: str, folder: Path) -> Diagnosis:
    log = folder / log_name(entry.where)
    log.write_text(f"starting\n{entry.near_miss}\n")
    return diagnose([log], failure_rules(engine), state=state, noise=noise(engine))


@pytest.mark.parametrize(("engine", "entry"), WITH_SAMPLE)
def test_a_near_miss_resembles_the_sample(engine: str, entry: RuleEntry) -> None:
    """A line without a word of the rule tests nothing."""
    assert words(f"{entry.sample} {entry.pattern}") & words(entry.near_miss or "")


def words(line: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", line.lower())) - {"info", "warning", "line"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("state", STATES)
def test_a_log_of_all_harmless_near_misses_is_healthy(
    engine: str, state: str, tmp_path: Path
) -> None:
    lines = [e.near_miss for e in book(engine).entries if e.near_miss_expected == HEALTHY]
    assert lines
    (tmp_path / "engine.log").write_text("\n".join(map(str, lines)) + "\n")
    answer = diagnose(
        [tmp_path / "engine.log"], failure_rules(engine), state=state, noise=noise(engine)
    )
    assert not answer.conclusive, answer
    assert answer.alternatives == ()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("state", STATES)
def test_a_log_of_near_misses_without_a_rule_has_no_cause(
    engine: str, state: str, tmp_path: Path
) -> None:
    silent = (HEALTHY, UNRECOGNISED)
    lines = [e.near_miss for e in book(engine).entries if e.near_miss_expected in silent]
    (tmp_path / "engine.log").write_text("\n".join(map(str, lines)) + "\n")
    answer = diagnose(
        [tmp_path / "engine.log"], failure_rules(engine), state=state, noise=noise(engine)
    )
    assert answer.rule_id is None, answer
    assert answer.alternatives == ()
    assert answer.first_errors != ()


@pytest.mark.parametrize(("engine", "entry"), ENTRIES)
def test_a_rule_says_what_happened_and_what_to_do(engine: str, entry: RuleEntry) -> None:
    assert re.fullmatch(r"ED(-[A-Z0-9]+)+", entry.id)
    assert entry.kind in ("failure", "summary", "warning", "request", "noise", "symptom")
    assert entry.when in ("loading", "ready", "any")
    assert (entry.pattern is None) == (entry.kind == "symptom")
    assert len(entry.cause) > 15
    assert len(entry.remedy) > 8
    assert not (entry.fatal and entry.kind in ("warning", "request", "noise", "symptom"))
    groups = set(re.compile(entry.pattern).groupindex) if entry.pattern else set()
    used = set(re.findall(r"\{(\w+)\}", entry.cause + entry.remedy))
    assert used <= groups


def test_ids_are_unique() -> None:
    ids = [entry.id for _, entry in RULES]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("engine", "entry"), WITH_SAMPLE)
def test_the_fixed_texts_of_a_pattern_are_in_its_sample(engine: str, entry: RuleEntry) -> None:
    assert entry.pattern is not None
    assert entry.sample is not None
    texts = required(entry.pattern)
    # A pattern without a fixed text would be tried on every line of every log.
    assert texts is not None
    assert any(text in entry.sample for text in texts)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("engine", "entry"), WITH_SAMPLE)
def test_patterns_are_linear_on_hostile_lines(engine: str, entry: RuleEntry) -> None:
    """The keeper tries every pattern on every line that a server prints, however long.

    No clock is compared: a quadratic or cubic pattern needs minutes for these lines, a linear one
    milliseconds, and the test's time limit tells them apart on any machine.
    """
    assert entry.pattern is not None
    regex = re.compile(entry.pattern)
    texts = required(entry.pattern) or ("",)
    # The repeated fixed text is the worst start, the odd byte the worst end.
    hostile = [(text + filler) * 3000 for text in texts for filler in ("", " ", "x", "lib.so.1: ")]
    for line in hostile:
        match = regex.search(line + "\x00")
        assert match is None or match.end() <= len(line) + 1


def test_all_signatures_of_the_fact_base_are_there() -> None:
    """Each that leaves a line has it as its sample: the stand-in server says the same."""
    signatures = json.loads((ROOT / "tests/twin/releases/failures.json").read_text())["failures"]
    assert len(signatures) == 93
    entries = {entry.id: entry for name in ("fastdeploy", "common") for entry in book(name).entries}
    for name, _, _, _, sample in signatures:
        own, common = f"ED-FD-{name.upper()}", f"ED-{name.upper()}"
        entry = entries.get(own) or entries[common]
        assert (entry.pattern is None) == (entry.kind == "symptom")
        if entry.pattern is not None:
            assert sample is not None, name
            assert re.search(entry.pattern, sample), name


def test_rules_of_a_release_leave_out_texts_that_were_gone_before() -> None:
    ids = {rule.id for rule in fastdeploy_rules("2.3")}
    assert "ED-FD-CUDA-VISIBLE-DEVICES-COUNT" not in ids  # 2.0 and 2.1 only
    assert "ED-FD-ROUTER-REQUIRED" in ids  # 2.4: a patch release may carry it back
    assert "ED-CUDA-OOM" in ids  # of any process
    assert "ED-FD-CUDA-VISIBLE-DEVICES-COUNT" in {rule.id for rule in fastdeploy_rules(None)}


def test_every_signature_at_once_still_names_the_earliest(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(
        "2026-01-09T10:00:01.000000000Z stderr F "
        "KeyError: \"tool helper: 'x' not found in tool_parsers\"\n"
        "2026-01-09T10:01:00.000000000Z stderr F OSError: [Errno 98] Address already in use\n"
    )
    answer = of_folder(tmp_path, "fastdeploy")
    assert answer.rule_id == "ED-FD-TOOL-PARSER-UNKNOWN"
    assert "x" in answer.cause
    assert [finding.rule_id for finding in answer.alternatives] == ["ED-FD-ADDRESS-IN-USE-RAW"]

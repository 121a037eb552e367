"""Logs as they lie on disk, and the first cause that is found in them."""

import json
import traceback
from datetime import datetime, timezone
from pathlib import Path

import pytest

from launcher.diagnose import below, diagnose, of_folder, of_instance
from launcher.diagnose.diagnosis import fill
from launcher.diagnose.lines import parse_time, read, redact
from launcher.engines.fastdeploy import failures
from launcher.plan.model import FailureRule
from tests.support.as_json import as_json

SUMMARY = "Failed to launch worker processes, check log/workerlog.* for more details."


def record(level: str, when: str, message: str) -> str:
    """A line as FastDeploy's loggers write it, errors in colour."""
    colour = ("\x1b[31m", "\x1b[0m") if level in ("ERROR", "WARNING") else ("", "")
    stamp = f"2026-01-09 {when},123"
    return f"{colour[0]}{level:8} {stamp} 4242  engine.py[line:160] {message}{colour[1]}\n"


def captured(local: str, content: str, flag: str = "F") -> str:
    """A line of our captured output; `local` is a local time, as FastDeploy's own lines have."""
    naive = datetime.strptime(f"2026-01-09 {local}", "%Y-%m-%d %H:%M:%S")
    utc = naive.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    return f"{utc} stderr {flag} {content}\n"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_summary_leads_to_the_workers_log(tmp_path: Path) -> None:
    logs = write(
        tmp_path / "log",
        console__log=record("ERROR", "10:00:09", SUMMARY),
        workerlog__0=(
            record("INFO", "10:00:05", "Starting to load model")
            + "Traceback (most recent call last):\n"
            + '  File "worker_process.py", line 1, in <module>\n'
            + "ValueError: Invalid quantization method: nope\n"
        ),
    )
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-QUANTIZATION-INVALID"
    assert answer.evidence is not None
    assert (answer.evidence.file, answer.evidence.line) == ("workerlog.0", 4)
    assert "nope" in answer.cause
    assert not answer.retry
    assert [finding.rule_id for finding in answer.alternatives] == ["ED-FD-WORKER-LAUNCH-FAILED"]


def test_the_rank_that_failed_first_is_the_cause(tmp_path: Path) -> None:
    oom = "ResourceExhaustedError: Out of memory error on GPU 1. Cannot allocate 1.0GB memory\n"
    nccl = "ExternalError: NCCL error(2), ncclSystemError\n"
    logs = write(
        tmp_path / "log",
        workerlog__0=record("INFO", "10:00:30", "rank 0") + nccl,
        workerlog__1=record("INFO", "10:00:05", "rank 1") + oom,
    )
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-CUDA-OOM"
    assert answer.evidence is not None
    assert answer.evidence.file == "workerlog.1"


def test_a_rank_that_lost_its_peer_is_not_the_cause(tmp_path: Path) -> None:
    """In one second, and last words have no time: rank 0 only says that its peer is gone."""
    lost = "RuntimeError: NCCL error: unhandled system error, remote process exited\n"
    crash = "terminate called after throwing an instance of 'std::runtime_error'\n"
    both = record("INFO", "10:00:01", "loading")
    logs = write(tmp_path / "log", workerlog__0=both + lost, workerlog__1=both + crash)
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-NATIVE-CRASH"
    assert answer.evidence is not None
    assert answer.evidence.file == "workerlog.1"
    assert [finding.rule_id for finding in answer.alternatives] == ["ED-NCCL-OTHER"]
    (logs / "workerlog.1").write_text(both)
    assert of_folder(logs, "fastdeploy").rule_id == "ED-NCCL-OTHER"


def test_compressed_logs_are_named_and_not_passed_over(tmp_path: Path) -> None:
    logs = write(tmp_path / "log", workerlog__0=record("INFO", "10:00:01", "loading"))
    (logs / "workerlog.0.1.gz").write_bytes(b"\x1f\x8b")
    (note,) = of_folder(logs, "fastdeploy").notes
    assert note.startswith("compressed logs are not read (workerlog.0.1.gz)")


def test_a_summary_without_a_known_cause_shows_the_first_error(tmp_path: Path) -> None:
    logs = write(
        tmp_path / "log",
        console__log=record("ERROR", "10:00:09", SUMMARY),
        workerlog__0="Traceback (most recent call last):\nmypackage.Odd: never seen before\n"
        "RuntimeError: never seen before either\n",
    )
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-WORKER-LAUNCH-FAILED"
    assert [e.text for e in answer.first_errors] == ["RuntimeError: never seen before either"]


def test_where_no_rule_fits_it_says_so(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("INFO fine\nTraceback (most recent call last):\nValueError: unheard of\n")
    answer = of_folder(tmp_path, "fastdeploy", exit_code=1)
    assert answer.rule_id is None
    assert answer.conclusive
    assert "no rule fits (exit code 1)" in answer.cause
    assert answer.first_errors[0].line == 3
    assert not answer.retry  # a start that fails for an unknown reason fails again


def test_errors_of_an_earlier_start_are_not_shown_though_a_server_worked_then(
    tmp_path: Path,
) -> None:
    """Of two bounds, the start and the proof that it works, the later one counts."""
    log = tmp_path / "engine.log"
    log.write_text("".join(captured(f"{hour}:00:00", f"ERROR odd {hour}") for hour in (10, 11, 12)))
    ten, eleven, twelve = (line.time for line in map(read, log.read_text().splitlines()))
    assert ten is not None
    assert twelve is not None
    for since, served in ((twelve, ten), (ten, twelve)):
        answer = diagnose([log], (), since=since, served=served)
        assert [error.text for error in answer.first_errors] == ["ERROR odd 12"]
    assert len(diagnose([log], (), since=ten, served=eleven).first_errors) == 2


def test_a_host_whose_clock_was_not_set_has_a_cause_too(tmp_path: Path) -> None:
    """Without a battery its logs begin in 1970."""
    head = "1970-01-01T00:00:00.500000000Z stderr F"
    write(tmp_path, engine__log=f"{head} ValueError: Invalid quantization method: nope\n")
    assert of_folder(tmp_path, "fastdeploy").rule_id == "ED-FD-QUANTIZATION-INVALID"


def test_lines_are_counted_from_an_empty_first_one(tmp_path: Path) -> None:
    write(tmp_path, engine__log="\n\nValueError: Invalid quantization method: nope\n")
    answer = of_folder(tmp_path, "fastdeploy")
    assert answer.rule_id == "ED-FD-QUANTIZATION-INVALID"
    assert answer.evidence is not None
    assert answer.evidence.line == 3


def test_healthy_logs_show_nothing_wrong(tmp_path: Path) -> None:
    logs = write(
        tmp_path / "log",
        console__log=record(
            "INFO", "10:00:00", "Worker processes are launched with 16.87 seconds."
        ),
        engine__log=captured("10:00:01", "[INFO] Listening at: http://0.0.0.0:8180 (1)"),
    )
    answer = of_folder(logs, "fastdeploy", state="ready")
    assert answer.rule_id is None
    assert not answer.conclusive
    assert answer.cause == "the logs show nothing wrong"


def test_the_noise_of_every_stop_is_no_answer(tmp_path: Path) -> None:
    text = (
        record("ERROR", "10:00:00", "Error extracting sub services: [Errno 3] No such process")
        + "resource_tracker: There appear to be 4 leaked shared_memory objects\n"
        + "UserWarning: resource_tracker: '/worker_ready_signal.8182': [Errno 2] "
        + "No such file or directory: '/worker_ready_signal.8182'\n"
        + "Worker process has died in the background (code=-15). API server is forced to stop.\n"
        + "UserWarning: No ccache found.\n"
    )
    answer = of_folder(write(tmp_path / "log", engine__log=text), "fastdeploy")
    assert not answer.conclusive


def test_what_users_write_is_no_evidence(tmp_path: Path) -> None:
    prompt = "Explain: CUDA error(700), an illegal memory access was encountered"
    logs = write(
        tmp_path / "log",
        api_server__log=record("INFO", "10:00:00", f"request: {prompt}\nand {prompt}"),
        data_processor__log=f"{prompt}\n",
        engine__log=captured("10:00:00", f"INFO:     request {prompt}"),
    )
    assert not of_folder(logs, "fastdeploy").conclusive


def test_a_traceback_in_an_error_record_of_a_logger_counts(tmp_path: Path) -> None:
    text = record("ERROR", "10:00:00", "failed:") + "ValueError: weight not found in state_dict !\n"
    logs = write(tmp_path / "log", worker_process__log=text)
    assert of_folder(logs, "fastdeploy").rule_id == "ED-FD-WEIGHT-NOT-FOUND"


def test_progress_bars_and_colours_do_not_hide_a_line(tmp_path: Path) -> None:
    bar = "Loading Weights:   0%\rLoading Weights:  50%\r"
    text = bar + "\x1b[31mResourceExhaustedError: Out of memory error on GPU 0.\x1b[0m\n"
    answer = of_folder(write(tmp_path / "log", engine__log=text), "fastdeploy")
    assert answer.rule_id == "ED-FD-CUDA-OOM"
    assert answer.evidence is not None
    assert answer.evidence.text == "ResourceExhaustedError: Out of memory error on GPU 0."


def test_a_line_captured_in_parts_is_read_as_one(tmp_path: Path) -> None:
    rules = failures.rules("2.4")
    # The text that finds the line stands in its first part; the whole is what the rule reads.
    (tmp_path / "engine.log").write_text(
        captured(
            "10:00:00", "x: current device block num: 512 should be larger than or equal to 15", "P"
        )
        + captured("10:00:00", "626, please reduce the max_model_len")
    )
    answer = diagnose([tmp_path / "engine.log"], rules)
    assert answer.rule_id == "ED-FD-BLOCKS-BELOW-CONTEXT"
    assert "512" in answer.cause
    assert "15626" in answer.cause


def test_only_the_last_start_in_an_appended_log_counts(tmp_path: Path) -> None:
    mark = "Number of api-server workers: 1."
    text = (
        record("INFO", "09:00:00", mark)
        + record("ERROR", "09:00:10", "ValueError: weight not found in state_dict !")
        + record("INFO", "10:00:00", mark)
        + record("ERROR", "10:00:10", "Exception: The parameter `port`:8188 is already in use.")
    )
    logs = write(tmp_path / "log", console__log=text)
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-PORT-IN-USE"
    assert answer.alternatives == ()
    assert "8188" in answer.remedy


def test_an_instance_is_read_since_its_start_with_rotated_parts(tmp_path: Path) -> None:
    old = captured("09:00:00", "Exception: The parameter `port`:8188 is already in use.")
    new = captured("10:00:10", "KeyError: \"reasoning helper: 'x' not found in reasoning_parsers\"")
    logs = write(tmp_path / "logs", engine__log="", engine__log__1=old + new)
    own = write(logs / "engine", console__log=record("INFO", "10:00:00", "fine"))
    started = parse_time("2026-01-09 10:00:00")
    answer = of_instance(
        own,
        logs / "engine.log",
        failures.rules("2.3"),
        log_rules=failures.log_rules(),
        since=started,
    )
    assert answer.rule_id == "ED-FD-REASONING-PARSER-UNKNOWN"
    assert answer.evidence is not None
    assert (answer.evidence.file, answer.evidence.line) == ("engine.log.1", 2)


@pytest.mark.parametrize(
    ("exit_code", "rule"),
    [(-9, "ED-KILLED"), (137, "ED-KILLED"), (-11, "ED-SEGFAULT"), (135, "ED-BUS-ERROR"), (1, None)],
)
def test_silent_ends_are_told_by_their_exit_code(
    exit_code: int, rule: str | None, tmp_path: Path
) -> None:
    (tmp_path / "engine.log").write_text("INFO loading\n")
    assert of_folder(tmp_path, "fastdeploy", exit_code=exit_code).rule_id == rule


def test_a_killed_worker_is_told_by_the_launchers_log(tmp_path: Path) -> None:
    """FastDeploy itself always says code=0; paddle's launcher knows the truth."""
    died = "Worker process has died in the background (code=0). API server is forced to stop."
    logs = write(
        tmp_path / "log",
        console__log=record("ERROR", "10:00:14", died),
        launch_worker__log="LAUNCH INFO 2026-01-09 10:00:10,001 Exit code -9\n",
    )
    answer = of_folder(logs, "fastdeploy", state="ready", exit_code=0)
    assert answer.rule_id == "ED-FD-HOST-RAM"
    assert answer.retry


def test_the_same_line_means_another_thing_when_the_server_was_ready(tmp_path: Path) -> None:
    (tmp_path / "workerlog.0").write_text("ResourceExhaustedError: Out of memory error on GPU 0.\n")
    assert of_folder(tmp_path, "fastdeploy", state="loading").rule_id == "ED-FD-CUDA-OOM"
    serving = of_folder(tmp_path, "fastdeploy", state="ready")
    assert serving.rule_id == "ED-FD-CUDA-OOM-SERVING"
    assert serving.retry


def test_a_load_that_stands_still_has_no_line_but_a_name(tmp_path: Path) -> None:
    logs = write(tmp_path / "logs", engine__log="Loading Weights:   0%\r")
    answer = of_instance(
        logs,
        logs / "engine.log",
        failures.rules("2.3"),
        log_rules=failures.log_rules(),
        symptom="no-progress",
    )
    assert answer.rule_id == "ED-FD-LOAD-HANG"
    assert answer.kind == "symptom"


def test_secrets_are_not_quoted(tmp_path: Path) -> None:
    line = "api_server.py: error: unrecognized arguments: --api-key=sk-123456 --x 1\n"
    (tmp_path / "engine.log").write_text(line)
    answer = of_folder(tmp_path, "fastdeploy")
    assert answer.rule_id == "ED-FD-UNRECOGNIZED-ARGUMENTS"
    assert "sk-123456" not in json.dumps(as_json(answer))


@pytest.mark.parametrize(
    "text",
    [
        "--api-key sk-1234",
        "Authorization: Bearer sk-1234",
        '"FD_API_KEY": "sk-1234"',
        "api_key=['sk-1234']",
        "password: sk-1234",
    ],
)
def test_redaction(text: str) -> None:
    assert "sk-1234" not in redact(text)


def test_a_linked_name_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "console.log.2026-01-09").write_text("x\n")
    (tmp_path / "console.log").symlink_to("console.log.2026-01-09")
    assert len(below(tmp_path)) == 1


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    answer = diagnose([tmp_path / "gone.log"], failures.rules("2.3"))
    assert answer.files == 0
    assert "gone.log was not read" in answer.notes[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-09T10:00:00.250000000Z", 1767952800.25),
        ("2026-01-09 10:00:00 +0000", 1767952800.0),
        ("2026-01-09T12:00:00+02:00", 1767952800.0),
        ("2026-01-09T07:30:00-0230", 1767952800.0),
        ("no time here", None),
        ("2026-99-99 10:00:00Z", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert parse_time(text) == seconds


def test_a_captured_line_is_taken_apart() -> None:
    line = read(
        "2026-01-09T10:00:00.25Z stderr F \x1b[31mERROR    2026-01-09 09:00:00,1 1 x\x1b[0m"
    )
    assert line.content.startswith("ERROR    2026")
    assert line.level == "ERROR"
    assert line.time == 1767952800.25


def test_braces_that_are_not_groups_stay() -> None:
    text = 'set {name}: `{"use_cudagraph": false}` ({missing})'
    assert fill(text, {"name": "x"}) == 'set x: `{"use_cudagraph": false}`'


def test_a_command_in_a_remedy_is_left_as_it_is() -> None:
    text = '{who} has it ({who}): `ss -ltnp "sport = :{port}"`'
    assert fill(text, {"port": "80"}) == 'has it: `ss -ltnp "sport = :80"`'
    assert fill("not found {name}: install it", {}) == "not found: install it"


def test_a_large_log_is_sifted_and_nothing_is_lost(tmp_path: Path) -> None:
    """Above two megabytes only lines that hold a piece of a rule's text are looked at."""
    filler = "".join(f"step {n}: all is well with error rate 0.{n}\n" for n in range(40_000))
    chatter = record("INFO", "10:00:00", "request done") * 20_000
    line = "KeyError: \"tool helper: 'hermes' not found in tool_parsers\"\n"
    log = tmp_path / "engine.log"
    log.write_text(filler + chatter + filler + line + filler)
    assert log.stat().st_size > 4 * 1024 * 1024
    answer = of_folder(tmp_path, "fastdeploy")
    assert answer.rule_id == "ED-FD-TOOL-PARSER-UNKNOWN"
    assert answer.evidence is not None
    assert answer.evidence.line == 40_000 + 20_000 + 40_000 + 1
    assert answer.evidence.text == line.strip()


def test_the_sieve_keeps_every_line_that_holds_a_text() -> None:
    from launcher.diagnose.sieve import Sieve

    texts = [b"not found in state_dict", b"sh: ", b"Errno 98", b"already in use"]
    data = b"".join(b"x%d\n%s tail\n" % (n, text) for n, text in enumerate(texts))
    starts = Sieve(texts).lines(data)
    assert starts is not None
    for text in texts:
        assert data.rfind(b"\n", 0, data.index(text)) + 1 in starts


@pytest.mark.parametrize(
    ("sign", "line", "rule"),
    [
        (
            "[transformers] Loading /m@main",
            "safetensors._safetensors_rust.SafetensorError: Error while deserializing header",
            "ED-TF-WEIGHTS-DAMAGED",
        ),
        (
            "(APIServer pid=1) INFO 11-20 14:29:34 [api_server.py:1] vLLM API server version 0.32",
            "api_server.py: error: unrecognized arguments: --no-such-flag",
            "ED-VLLM-UNKNOWN-ARGUMENT",
        ),
        (
            "/env/fastdeploy/entrypoints/openai/api_server.py: warming up",
            "api_server.py: error: unrecognized arguments: --no-such-flag",
            "ED-FD-UNRECOGNIZED-ARGUMENTS",
        ),
    ],
)
def test_whose_logs_they_are_is_found_out(sign: str, line: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "server.out").write_text(f"{sign}\n{line}\n")
    assert of_folder(tmp_path).rule_id == rule


def test_source_lines_of_a_traceback_are_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "engine.log").write_text(
        "[transformers] Loading\nTraceback (most recent call last):\n"
        '  File "configuration_utils.py", line 1, in get\n'
        "    raise OSError(f\"It looks like the config file at '{name}' is not a valid JSON\")\n"
        "OSError: It looks like the config file at '/m/config.json' is not a valid JSON file.\n"
    )
    answer = of_folder(tmp_path)
    assert answer.rule_id == "ED-TF-CONFIG-NOT-JSON"
    assert answer.cause == "/m/config.json is not JSON"


HEADS = (
    "",
    "(EngineCore_DP0 pid=2) ",
    "ERROR 01-09 10:00:09 [core.py:396] ",
    "(EngineCore_DP0 pid=2) ERROR 01-09 10:00:09 [core.py:396] ",
    "  | ",
    "(APIServer pid=1)   | ",
    "[rank1]: ",
    "[default0]:",
    "[rank0]: (EngineCore_DP0 pid=2) ",
)
SOURCES = (
    '    check(quant, f"ValueError: Invalid quantization method: {quant}")\n    ^^^^^^^^^^^^',
    '    check(\n        "ValueError: Invalid quantization method: " + quant,\n    )',
    '    raise ValueError("ValueError: Invalid quantization method: {}")',
)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_traceback_is_quoted_by_its_exception_line(
    tmp_path: Path, head: str, source: str
) -> None:
    """Not by the source that it shows, whatever stands before each of its lines."""
    lines = [
        "Traceback (most recent call last):",
        '  File "worker_process.py", line 1, in <module>',
        *source.split("\n"),
        "ValueError: Invalid quantization method: nope",
    ]
    logs = write(tmp_path / "log", workerlog__0="".join(f"{head}{line}\n" for line in lines))
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id == "ED-FD-QUANTIZATION-INVALID"
    assert answer.evidence is not None
    assert answer.evidence.line == len(lines)


class OddError(Exception):
    """An error that no rule knows."""


def chained(kind: str) -> str:
    """A traceback of Python itself whose first exception is the cause of the second."""
    try:
        try:
            raise OddError("the cause\nis told\nin lines")
        except OddError as error:
            if kind == "direct cause":
                raise RuntimeError("wrapped") from error
            raise RuntimeError("wrapped")  # noqa: B904 - the chain that is tested
    except RuntimeError:
        return traceback.format_exc()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["direct cause", "during handling"])
def test_of_chained_exceptions_the_first_is_quoted(tmp_path: Path, head: str, kind: str) -> None:
    lines = chained(kind).splitlines()
    logs = write(tmp_path / "log", workerlog__0="".join(f"{head}{line}\n" for line in lines))
    answer = of_folder(logs, "fastdeploy")
    assert answer.rule_id is None
    cause = next(n for n, line in enumerate(lines, 1) if "OddError: the cause" in line)
    assert answer.first_errors[0].line == cause
    assert "OddError: the cause" in answer.first_errors[0].text


@pytest.mark.parametrize(
    "line",
    [
        "h11._util.LocalProtocolError: Too much data for declared Content-Length",
        "RuntimeError: Response content longer than Content-Length",
    ],
)
def test_a_304_with_a_body_is_known_from_both_of_uvicorns_parsers(
    tmp_path: Path, line: str
) -> None:
    """Uvicorn uses httptools where it is installed, and h11 elsewhere."""
    logs = write(tmp_path / "log", stderr__log=f"Traceback (most recent call last):\n{line}\n")
    assert of_folder(logs, "fastdeploy").rule_id == "ED-FD-WEIGHTS-CLEARED"


def test_source_on_the_first_line_of_a_log_is_not_quoted(tmp_path: Path) -> None:
    """A log may begin in the middle of a traceback (a rotation, a paste)."""
    head = "(APIServer pid=966592) "
    source = '    raise KeyError(f"invalid tool call parser: {args.tool_call_parser} "\n'
    error = "KeyError: 'invalid tool call parser: openai (chose from { hermes })'\n"
    logs = write(tmp_path / "log", console__log=f"{head}{source}{head}{error}")
    answer = of_folder(logs, "vllm")
    assert answer.rule_id == "ED-VLLM-TOOL-PARSER"
    assert "openai" in answer.cause
    assert answer.evidence is not None
    assert answer.evidence.line == 2


OWN = FailureRule("ED-FD-OWN", "engine says (?P<what>.+)", "its own words: {what}", "do this")
ANY = FailureRule("ED-CUDA-OOM", "any process says", "some process", "do that")


@pytest.mark.parametrize(
    ("lines", "rule_id"),
    [
        ({"10:00:01": "any process says", "10:00:02": "engine says x"}, "ED-FD-OWN"),
        ({"10:00:01": "engine says x", "10:00:02": "any process says"}, "ED-FD-OWN"),
        ({"10:00:01": "any process says", "10:00:06": "engine says x"}, "ED-FD-OWN"),
        ({"10:00:01": "any process says", "10:00:07": "engine says x"}, "ED-CUDA-OOM"),
        ({"10:00:01": "any process says"}, "ED-CUDA-OOM"),
    ],
)
@pytest.mark.parametrize("rules", [(OWN, ANY), (ANY, OWN)])
def test_within_one_incident_the_engines_own_rule_says_more(
    rules: tuple[FailureRule, ...], lines: dict[str, str], rule_id: str, tmp_path: Path
) -> None:
    text = "".join(record("ERROR", when, message) for when, message in lines.items())
    log = write(tmp_path / "log", server__log=text) / "server.log"
    answer = diagnose([log], rules)
    assert answer.rule_id == rule_id
    assert {answer.rule_id, *(second.rule_id for second in answer.alternatives)} == {
        OWN.id if "engine" in line else ANY.id for line in lines.values()
    }


def test_the_second_wording_of_a_pattern_fills_the_same_hole() -> None:
    text = "the KV cache has {have} blocks, one sequence needs {need}"
    assert fill(text, {"have3": "16", "need3": "33"}) == text.format(have=16, need=33)

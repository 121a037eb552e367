"""Kinds of lines that were judged wrongly in real logs of any engine."""

from pathlib import Path

import pytest

from launcher.diagnose import Diagnosis, of_folder

READY = "INFO:     Application startup complete.\n"
NO_DRIVER = (
    "WARNING 11-27 07:15:17 [interface.py:221] Failed to import from vllm._C with ImportError("
    "'libcuda.so.1: cannot open shared object file: No such file or directory')\n"
)
LOGGING_ERROR = """--- Logging error ---
Traceback (most recent call last):
  File "/usr/lib/python3.10/logging/__init__.py", line 1103, in emit
    stream.write(msg + self.terminator)
OSError: [Errno 28] No space left on device
Call stack:
  File "/usr/lib/python3.10/threading.py", line 973, in _bootstrap
    self._bootstrap_inner()
Message: 'Received request %s'
Arguments: ('cmpl-1',)
"""


def diagnosed(folder: Path, text: str, engine: str = "vllm") -> Diagnosis:
    (folder / "console.log").write_text(text)
    return of_folder(folder, engine)


def test_a_full_disk_is_the_cause_where_the_logs_only_sum_up(tmp_path: Path) -> None:
    """The worker's own words did not fit on the disk any more; the launcher's did."""
    summed_up = "ERROR Failed to launch worker processes, check log/workerlog.* for more details.\n"
    answer = diagnosed(tmp_path, LOGGING_ERROR + summed_up, "fastdeploy")
    assert answer.rule_id == "ED-DISK-FULL", answer
    assert diagnosed(tmp_path, summed_up, "fastdeploy").rule_id == "ED-FD-WORKER-LAUNCH-FAILED"


@pytest.mark.parametrize("head", ["", "(EngineCore_DP0 pid=2) ", "(Worker_TP0 pid=9) "])
def test_a_record_that_could_not_be_logged_is_no_cause(head: str, tmp_path: Path) -> None:
    report = "".join(f"{head}{line}\n" for line in LOGGING_ERROR.splitlines())
    answer = diagnosed(tmp_path, report + READY)
    assert not answer.conclusive, answer
    later = diagnosed(tmp_path, report + "ValueError: No available memory for the cache blocks\n")
    assert later.rule_id == "ED-VLLM-NO-KV-MEMORY"
    assert later.evidence is not None
    assert later.evidence.line == 11, "lines keep their numbers"


def test_a_report_that_is_cut_off_hides_no_later_error(tmp_path: Path) -> None:
    cut = LOGGING_ERROR.partition("Message")[0] + "INFO: serving\n" * 500
    answer = diagnosed(tmp_path, cut + "ValueError: No available memory for the cache blocks\n")
    assert answer.rule_id == "ED-VLLM-NO-KV-MEMORY"


@pytest.mark.parametrize(
    "line",
    [
        'f"invalid tool call parser: {args.tool_call_parser} "',
        '(APIServer pid=1)     f"invalid tool call parser: {args.tool_call_parser} "',
        'raise KeyError(f"invalid reasoning parser: {names[0]!r} "',
    ],
)
def test_the_template_of_a_message_is_not_the_message(line: str, tmp_path: Path) -> None:
    message = "(APIServer pid=1) KeyError: 'invalid tool call parser: nope (chose from { a })'\n"
    assert diagnosed(tmp_path, line + "\n").rule_id is None
    answer = diagnosed(tmp_path, f"{line}\n{message}")
    assert answer.rule_id == "ED-VLLM-TOOL-PARSER"
    assert "called nope" in answer.cause


@pytest.mark.parametrize(
    ("line", "rule", "named"),
    [
        ("torch.distributed.DistNetworkError: The server socket has failed to listen on any local"
         " network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message:"
         " address already in use", "ED-INTERNAL-PORT", "29500"),
        ("zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:5555')",
         "ED-INTERNAL-PORT", "5555"),
        ("ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000):"
         " address already in use", "ED-VLLM-PORT-IN-USE", "8000"),
        ("OSError: [Errno 98] Address already in use", "ED-PORT-IN-USE", "a port"),
        ("docker: Error response from daemon: Bind for 0.0.0.0:8000 failed: port is already"
         " allocated", "ED-CONTAINER-PORT", "8000"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("head", ["", "(EngineCore_DP0 pid=2) "])
def test_one_symptom_of_several_ports(
    line: str, rule: str, named: str, head: str, tmp_path: Path
) -> None:
    answer = diagnosed(tmp_path, f"{head}{line}\n")
    assert answer.rule_id == rule
    assert named in answer.cause
    assert ("the API's port" in answer.cause) == (rule == "ED-VLLM-PORT-IN-USE")


def test_what_a_start_survived_is_no_cause(tmp_path: Path) -> None:
    assert not diagnosed(tmp_path, NO_DRIVER + READY).conclusive
    assert not diagnosed(tmp_path, "ValueError: unheard of\n" + READY).conclusive
    late = diagnosed(tmp_path, READY + "ValueError: unheard of\n")
    assert [line.text for line in late.first_errors] == ["ValueError: unheard of"]


def test_a_warning_is_no_cause_beside_an_error(tmp_path: Path) -> None:
    error = (
        "ERROR 11-27 07:19:18 [core.py:1] ValueError: No available memory for the cache blocks\n"
    )
    assert diagnosed(tmp_path, NO_DRIVER + error).rule_id == "ED-VLLM-NO-KV-MEMORY"
    assert diagnosed(tmp_path, NO_DRIVER).rule_id == "ED-CUDA-LIBS-MISSING"


@pytest.mark.parametrize("head", ["", "(EngineCore_DP0 pid=2) ", "[rank1]: "])
def test_noise_is_noise_whoever_says_it(head: str, tmp_path: Path) -> None:
    assert not diagnosed(tmp_path, f"{head}KeyboardInterrupt: terminated\n").conclusive


@pytest.mark.parametrize("head", ["", "(EngineCore_DP0 pid=2) ", "[rank1]: "])
def test_a_key_error_is_the_weights_only_where_a_weight_is_named(head: str, tmp_path: Path) -> None:
    weight = diagnosed(tmp_path, f"{head}KeyError: 'layers.0.mlp.experts.w13_weight'\n")
    assert weight.rule_id == "ED-VLLM-WEIGHT-UNKNOWN"
    for second in ("KeyError", "KeyError: 'model'", "KeyError: 'layers'"):
        answer = diagnosed(tmp_path, f"{head}{second}\n")
        assert answer.rule_id is None
        assert [line.text for line in answer.first_errors] == [f"{head}{second}"]

"""GPU checks; the cards are simulated at the boundary of nvidia-ml-py and nowhere else."""

import pytest

from launcher import doctor
from tests.doctor.conftest import GIB, Examine, Gpus, card
from tests.support.decoded import JsonDict


def test_cards_in_order(examine: Examine, gpus: Gpus) -> None:
    gpus(card(), card())
    findings = examine(**{"tensor-parallel-size": 2})
    assert findings["driver"].status == "PASS"
    assert "CUDA up to 12.4" in findings["driver"].evidence
    assert findings["gpu-count"].status == "PASS"
    assert findings["gpu-memory"].status == "PASS"
    # An installed wheel does not tell for which architecture it was built.
    assert findings["gpu-architecture"].status == "UNKNOWN"
    assert "80_90" in findings["gpu-architecture"].evidence


def test_no_driver(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    finding = examine()["driver"]
    assert finding.status == "FAIL"
    assert "nvidia-smi is not on PATH" in finding.evidence


def test_a_machine_without_a_gpu_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    findings = {f.check: f for f in doctor.run(doctor.machine())}
    assert findings["driver"].status == "UNKNOWN"
    assert "nvidia-smi is not on PATH" in findings["driver"].evidence


@pytest.mark.parametrize(
    ("inherited", "keys", "answer"),
    [
        ("0", {}, "PASS"),
        ("2,3", {"tensor-parallel-size": 2}, "PASS"),
        ("0", {"tensor-parallel-size": 2}, "FAIL"),
        ("0,1,2,3", {}, "FAIL"),
        ("0,1", {"engine-args": {"data_parallel_size": 2}}, "PASS"),
        ("GPU-0000", {}, "FAIL"),
        ("", {}, "FAIL"),
    ],
)
def test_the_devices_that_the_caller_lets_the_server_see(
    inherited: str,
    keys: JsonDict,
    answer: str,
    examine: Examine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    finding = examine(**keys)["visible-devices"]
    assert finding.status == answer, finding
    assert finding.fast, "`up` refuses on it"
    if answer == "FAIL":
        assert "gpus: [" in (finding.remedy or "")
    assert "visible-devices" not in examine(model="/", gpus=[0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"gpu-memory-utilization": "much"},
        {"data-parallel-size": "two"},
        {"max-num-batched-tokens": "abc"},
        {"block-size": [1]},
    ],
)
def test_a_wrong_profile_is_one_failed_check_and_no_defect(
    arguments: JsonDict, examine: Examine, gpus: Gpus
) -> None:
    gpus(card())
    findings = examine(model="baidu/ERNIE-4.5-0.3B-Paddle", **{"engine-args": arguments})
    assert findings["profile"].status == "FAIL"
    assert findings["memory-plan"].status == "UNKNOWN"
    assert findings["gpu-count"].status == "PASS"


@pytest.mark.parametrize(
    ("driver", "cuda", "answer"),
    [("535.54", 12030, "PASS"), ("525.147", 12000, "FAIL"), ("550.1", 12020, "FAIL")],
)
def test_drivers(driver: str, cuda: int, answer: str, examine: Examine, gpus: Gpus) -> None:
    gpus(card(), driver=driver, cuda=cuda)
    assert examine()["driver"].status == answer


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"tensor-parallel-size": 4}, "2 GPUs here, 4 ranks"),
        ({"gpus": [0, 5]}, "GPU 5 of `gpus` does not exist"),
    ],
)
def test_too_few_cards(keys: JsonDict, expected: str, examine: Examine, gpus: Gpus) -> None:
    gpus(card(), card())
    finding = examine(engine="fastdeploy", **keys)["gpu-count"]
    assert finding.status == "FAIL"
    assert expected in finding.evidence


@pytest.mark.parametrize(
    ("name", "capability"),
    [("Tesla V100", (7, 0)), ("Tesla T4", (7, 5)), ("B200", (10, 0)), ("RTX 5090", (12, 0))],
)
def test_cards_without_a_wheel(
    name: str, capability: tuple[int, int], examine: Examine, gpus: Gpus
) -> None:
    gpus(card(name, capability))
    finding = examine()["gpu-architecture"]
    assert finding.status == "FAIL"
    assert name in finding.evidence


def test_cards_of_two_kinds(examine: Examine, gpus: Gpus) -> None:
    gpus(card("A100", (8, 0)), card("L20", (8, 9)))
    finding = examine()["gpu-architecture"]
    assert finding.status == "FAIL"
    assert "80_90" in finding.evidence
    assert "86_89" in finding.evidence
    assert examine(model="/", gpus=[1])["gpu-architecture"].status == "UNKNOWN"


def test_memory_that_others_hold(examine: Examine, gpus: Gpus) -> None:
    gpus(card(free=10 * GIB, processes=((4242, 69 * GIB), (4243, None))))
    finding = examine()["gpu-memory"]
    assert finding.status == "FAIL"
    assert "pid 4242 69.0 GiB, pid 4243" in finding.evidence
    gpus(card(free=70 * GIB, processes=((4242, 9 * GIB),)))
    assert examine(model="/")["gpu-memory"].status == "WARN"


def test_a_model_that_does_not_fit(examine: Examine, gpus: Gpus) -> None:
    gpus(card("RTX 3060", (8, 6), 12 * GIB, 12 * GIB))
    findings = examine(model="baidu/ERNIE-4.5-21B-A3B-Paddle")
    assert findings["memory-plan"].status == "FAIL"
    assert "does not fit" in findings["memory-plan"].evidence

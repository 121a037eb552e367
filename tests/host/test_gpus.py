"""GPU facts from nvidia-ml-py, from nvidia-smi, and from neither."""

import sys
from pathlib import Path

import pytest

from launcher.host import gpus
from tests.doctor.conftest import GIB, card, fake_nvml

SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-aaaa, NVIDIA H20, 9.0, 97871, 90000, 550.54.15" ;;
  --query-compute-apps=*) echo "GPU-aaaa, 4242, 7000" ;;
  --version) echo "CUDA Version        : 12.4" ;;
esac
"""


@pytest.fixture
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in sys.modules makes an import fail as if the package were not installed."""
    monkeypatch.setitem(sys.modules, "pynvml", None)


def install_smi(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "nvidia-smi"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_nvml_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [card(processes=((7, GIB), (8, None)))]
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(cards, "550.54", 12040))
    report = gpus.query()
    assert report.error is None
    assert (report.driver, report.cuda) == ("550.54", "12.4")
    (one,) = report.gpus
    assert one.name == "NVIDIA H800"  # old nvidia-ml-py answers with bytes
    assert one.compute_capability == (9, 0)
    assert [(p.pid, p.memory) for p in one.processes] == [(7, GIB), (8, None)]


def test_a_driver_that_refuses_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = fake_nvml([], "550.54", 12040)

    def refuse() -> None:
        raise nvml.NVMLError("Driver Not Loaded")

    nvml.nvmlInit = refuse
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    install_smi(tmp_path, SMI, monkeypatch)
    assert gpus.query().gpus[0].name == "NVIDIA H20"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "Driver Not Loaded" in (gpus.query().error or "")


@pytest.mark.usefixtures("no_nvml")
def test_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_smi(tmp_path, SMI, monkeypatch)
    report = gpus.query()
    assert (report.driver, report.cuda, report.error) == ("550.54.15", "12.4", None)
    (one,) = report.gpus
    assert one.memory_total == 97871 * 1024**2
    assert one.compute_capability == (9, 0)
    assert one.processes == (gpus.GpuProcess(4242, 7000 * 1024**2),)


@pytest.mark.usefixtures("no_nvml")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n",
            "exited with 9: NVIDIA-SMI has failed",
        ),
        ("#!/bin/sh\necho nonsense\n", "answered 'nonsense'"),
        ("not a program", "could not be run"),
    ],
)
def test_nvidia_smi_that_fails(
    script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_smi(tmp_path, script, monkeypatch)
    report = gpus.query()
    assert report.gpus == ()
    assert expected in (report.error or "")


@pytest.mark.usefixtures("no_nvml")
def test_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    report = gpus.query()
    assert report.gpus == ()
    assert report.error == "nvidia-ml-py is not installed; nvidia-smi is not on PATH"

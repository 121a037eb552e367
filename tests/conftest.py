"""What all tests share: a state directory of their own, the command line, the real engines."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import cli, descriptors, engines, ports, processes
from tests.support import home as homes

with contextlib.suppress(ImportError):
    import hypothesis

    # A deadline per example measures the machine, not the code.
    hypothesis.settings.register_profile("project", deadline=None, database=None)
    hypothesis.settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    """No test may touch the user's own state directory, whatever it forgets to ask for."""
    os.environ.setdefault(engines.HOME, os.environ.get("ERNIE_DEPLOY_HOME", ""))
    fallback = tempfile.mkdtemp(prefix="edt-none-", dir="/tmp")
    config.add_cleanup(lambda: shutil.rmtree(fallback, ignore_errors=True))
    os.environ["ERNIE_DEPLOY_HOME"] = fallback
    # A job scheduler's choice of GPUs is not part of a test; the doctor refuses a wrong one.
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    # A shell starts `make test &` with these ignored, and every process of a test inherits that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(
                number,
                signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL,
            )
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # many a CI sets one; tests read plain text
        os.environ.pop(name, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long runs are for `make soak` (`-m soak`) only."""
    if "soak" in (config.option.markexpr or ""):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.engine("transformers")`: skip, or fail, where the engine is missing."""
    for mark in item.iter_markers("engine"):
        for name in mark.args:
            engines.require(name)


@pytest.fixture(scope="session", autouse=True)
def _no_children_left() -> Iterator[None]:
    """The test process itself leaves no child behind."""
    before = set(processes.children(os.getpid()))
    yield
    left = [pid for pid in processes.children(os.getpid()) if pid not in before]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left}
    # Python's own helper of multiprocessing ends with its parent.
    left = [pid for pid in left if b"resource_tracker" not in commands[pid]]
    processes.kill(left)
    assert not left, f"children outlived the tests: { {pid: commands[pid] for pid in left} }"


@pytest.fixture(autouse=True)
def _no_descriptors_left() -> Iterator[None]:
    """No test leaves descriptors open in the process that it shares with thousands of others."""
    with descriptors.none_left_open():
        yield


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh ERNIE_DEPLOY_HOME; fails at the end if a process of it is still alive."""
    with homes.temporary_home() as path:
        monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(path))
        yield path


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """A state directory for the tests of one module; hand it to `tests.support.cli.run`."""
    with homes.temporary_home() as path:
        yield path


@pytest.fixture
def run_cli(home: Path) -> Callable[..., cli.Ran]:
    """`run_cli("up", "profiles/x.yaml", "--json", env={...}).rc`, in the test's `home`."""
    return partial(cli.run, home=home)


@pytest.fixture
def engine_python() -> Callable[[str], str]:
    """`engine_python("transformers")`: the interpreter of a real engine."""
    return engines.require


@pytest.fixture
def free_port() -> int:
    """One free port; `tests.support.ports.free_port` gives more."""
    return ports.free_port()

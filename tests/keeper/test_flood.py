"""Whatever an engine writes, and however fast: it is recorded, and the keeper's loop goes on."""

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.engines.fastdeploy import watching
from launcher.engines.rules import failure_rules, noise
from launcher.keeper import engine_process
from launcher.keeper.engine_process import EngineProcess
from launcher.keeper.line_sampling import Attention
from launcher.keeper.loop import Loop
from launcher.keeper.watch import Watcher
from launcher.lifecycle import InstanceState
from launcher.log_records import parse_record
from launcher.plan.model import LaunchPlan

KINDS = {
    "newlines": "\n" * 60_000,
    "introducers": ("\u009d" * 1990 + "\n") * 250,
    "dots": ("." * 32_000 + "\n") * 30,
    "dots without end": "." * 1_000_000,
    "bars": "40%|####\r" * 110_000,
    "colours": "\x1b[31m\x1b[1m" * 90_000,
    "nul": "\0" * 1_000_000,
    "errors": "Error: \n" * 120_000,
    "characters of three bytes": "\u4f60\n" * 250_000,
}


class Flooded:
    """An engine that writes a text to stderr and ends, watched with FastDeploy's own rules."""

    def __init__(self, folder: Path, text: str) -> None:
        source = folder / "source"
        source.write_bytes(text.encode())
        plan = LaunchPlan(
            instance="one", engine="fastdeploy", release=None, cwd=str(folder),
            argv=("/bin/sh", "-c", 'exec cat "$0" >&2', str(source)),
            log_folder=str(folder), temporary_folder=str(folder),
            phases=watching.PHASES, phase_rules=watching.PHASE_RULES,
            failure_rules=failure_rules("fastdeploy"), noise=noise("fastdeploy"),
            exit_codes=watching.EXIT_CODES, told_to_stop=watching.TOLD_TO_STOP,
            log_max_size=1 << 30,
        )  # fmt: skip
        self.loop, self.watcher = Loop(), Watcher(plan)
        self.phases: list[str] = []
        self.failures: list[str] = []
        self.attention = Attention(self.loop, self._line, self.watcher.texts, lambda: None)
        self.log = folder / "engine.log"
        self.engine = EngineProcess(self.loop, plan, {}, self.log, self.attention)

    def _line(self, source: str, file: str, text: str, final: bool) -> None:
        if phase := self.watcher.phase_of(source, text):
            self.phases.append(phase.phase)
        if final and (
            failure := self.watcher.failure_of(InstanceState.LOADING, source, file, text)
        ):
            self.failures.append(failure.rule.id)

    def recorded(self) -> bytes:
        """What the log holds, put together again; ends of lines as newlines."""
        texts = []
        for line in self.log.read_bytes().removesuffix(b"\n").split(b"\n"):
            record = parse_record(line.decode("latin-1"))
            assert record is not None
            texts.append(record[3] + ("\n" if record[2] == "F" else ""))
        return "".join(texts).encode("latin-1")


@pytest.fixture
def flooded(tmp_path: Path) -> Iterator[Callable[[str], Flooded]]:
    started: list[Flooded] = []

    def begin(text: str) -> Flooded:
        started.append(Flooded(tmp_path, text))
        return started[-1]

    yield begin
    for one in started:
        one.engine.process.kill()
        one.engine.process.wait()
        one.engine.close()
        one.attention.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_recorded_whole_and_the_loop_goes_on(
    kind: str, flooded: Callable[[str], Flooded]
) -> None:
    last = "ResourceExhaustedError: the last words\n"
    text = "Loading Layers:  10%\n" + KINDS[kind] + "\n" + last
    one = flooded(text)
    turns: list[float] = []

    def turn() -> None:
        turns.append(time.thread_time())
        one.loop.call_later(0.0, turn)

    turn()
    begun = time.thread_time()
    assert one.loop.run_until(lambda: one.engine.ended, 240.0)
    assert time.thread_time() - begun < 20.0, "CPU seconds for a megabyte"
    # A client of the control socket gets an answer between two pieces of the flood.
    assert max(b - a for a, b in itertools.pairwise(turns)) < 2.0
    one.attention.last_words()
    assert one.phases == ["load layers"]
    assert one.failures[-1:] == ["ED-FD-CUDA-OOM"]
    bare = text.replace("\r", "").encode()
    assert one.recorded() == bare


def test_last_words_are_taken_though_somebody_goes_on_writing(
    tmp_path: Path, flooded: Callable[[str], Flooded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that outlives its master must not keep the keeper from judging the death."""
    one = flooded("begun\n")
    one.engine.process.wait()
    taken: list[int] = []

    def endless(descriptor: int) -> bool:
        taken.append(descriptor)
        assert len(taken) < 1000, "endless"
        return True

    monkeypatch.setattr(one.engine, "_take", endless)
    one.engine.drain()
    monkeypatch.undo()
    assert 0 < len(taken) <= 2 * (1024 * 1024 // engine_process.READ_AT_ONCE + 1)
    assert sys.getsizeof(one.log.read_bytes()) < 1024 * 1024

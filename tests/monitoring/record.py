"""Records what the alert rules are tested with: `python -m tests.monitoring.record [SCENE ...]`.

Each scene is a run of a real instance of the stand-in FastDeploy, or of a service of the scripted
engine behind a real HAProxy, scraped each second. The files
are `recorded/SCENE.json`: `series` by name and labels, one value a second; `marks`, the second at
which something was done.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from tests.fastdeploy.clients import clients
from tests.fastdeploy.conftest import Server
from tests.monitoring.scenes import QUICK, RELEASE, Scraper, instance, write_targets
from tests.support import scripted_engine
from tests.support.decoded import JsonDict
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for
from tests.twin.interpreter import make_interpreter

FOLDER = Path(__file__).parent / "recorded"


FILES = (("ernie-deploy", "keepers.json"), ("ernie-deploy-engine", "engines.json"))
DOORS = (("ernie-deploy-door", "doors.json"),)


class Scene:
    """One run: an instance, its targets (`files` by job) and what was scraped."""

    files: tuple[tuple[str, str], ...] = FILES

    def __init__(self, home: Path, folder: Path, python: Path) -> None:
        self.home, self.folder, self.python = home, folder, python
        self.scraper = Scraper()
        self.marks: dict[str, int] = {}
        self.groups: list[JsonDict] = []

    def make(self, fault: str = "", **keys: object) -> Server:
        """The instance, called `ernie`."""
        return instance(self.home, self.folder, self.python, "ernie", fault, **keys)

    def mark(self, name: str) -> None:
        """Something is done now."""
        self.marks[name] = self.scraper.seconds

    def targets(self) -> None:
        """Find the targets anew."""
        folder = self.folder / "targets"
        done = write_targets(self.home, folder)
        assert done.returncode == 0, done.stderr
        self.groups = [
            {**group, "job": job}
            for job, name in self.files
            for group in json.loads((folder / name).read_text())
        ]

    def until(self, question: Callable[[], bool], more: int = 3) -> None:
        """Scrape until the answer is yes, and `more` times after that."""
        for _ in range(300):
            self.scraper.scrape(self.groups)
            if question():
                break
        else:
            raise AssertionError("waited in vain")
        self.scrape(more)

    def scrape(self, seconds: int) -> None:
        """Scrape for so long."""
        for _ in range(seconds):
            self.scraper.scrape(self.groups)

    def verdict(self, name: str) -> bool:
        """Whether the newest verdict is `name`."""
        return self._shows("ernie_deploy_liveness", f'verdict="{name}"')

    def is_ready(self) -> bool:
        """Whether the newest state is ready."""
        return self._shows("ernie_deploy_state", 'state="ready"')

    def shows(self, metric: str, value: float) -> bool:
        """Whether the newest value of this metric is `value`."""
        return any(
            row[-1] == value
            for name, row in self.scraper.series.items()
            if name.startswith(f"{metric}{{")
        )

    def _shows(self, metric: str, label: str) -> bool:
        return any(
            row[-1] == 1
            for name, row in self.scraper.series.items()
            if name.startswith(f"{metric}{{") and label in name
        )


def start(server: Server) -> None:
    """Bring it up."""
    up = server.up()
    assert up.rc == 0, up.output()


def healthy(scene: Scene) -> None:
    """A start, load, and rest."""
    server = scene.make(env={"TWIN_TIME_SCALE": "0.2"})
    starting = server.spawn_up()
    server.wait_state("loading")
    scene.targets()
    scene.until(lambda: scene.is_ready())
    assert starting.wait(600) == 0
    with clients(server, 3, max_tokens=50):
        scene.mark("load")
        scene.scrape(15)
    scene.mark("rest")
    scene.until(lambda: scene.verdict("idle"), 5)


def stall(scene: Scene) -> None:
    """The api_server is stopped by a signal, and goes on later; a stall is only reported."""
    server = scene.make(liveness=QUICK, restart={"on-stall": "report"})
    start(server)
    scene.targets()
    scene.until(lambda: scene.verdict("idle"))
    os.kill(server.main, signal.SIGSTOP)
    scene.mark("stopped")
    scene.until(
        lambda: scene.verdict("stalled"),
        8,
    )
    scene.mark("stalled")


def deaths(scene: Scene) -> None:
    """It dies four times; the third restart is the last, and its target of `notify` is gone."""
    server = scene.make(
        liveness=QUICK,
        restart={"policy": "on-failure", "max-restarts": 3, "first-delay": 1},
        notify=[{"name": "gone", "webhook": "http://127.0.0.1:9/x", "on": ["died"], "retries": 0}],
    )
    start(server)
    scene.targets()
    scene.until(lambda: scene.verdict("idle"))
    for number in range(1, 5):
        engine = server.main
        scene.mark(f"death {number}")
        os.kill(engine, signal.SIGKILL)
        if number < 4:
            scene.until(lambda: server.state() == "ready" and server.main != engine, 4)  # noqa: B023
    scene.until(lambda: server.state() in ("failed", "died"), 2)
    scene.targets()
    scene.mark("ended")
    scene.scrape(3)


def loading(scene: Scene) -> None:
    """A worker hangs while it loads."""
    server = scene.make("worker-hangs-in-load")
    starting = server.spawn_up()
    server.wait_state("loading")
    scene.targets()
    scene.until(lambda: server.state() == "loading", 10)
    starting.send_signal(signal.SIGINT)
    assert starting.wait(600) == 130


def slow_start(scene: Scene) -> None:
    """A start as usual, a death, and a start that hangs."""
    server = scene.make(liveness=QUICK, restart={"policy": "on-failure", "first-delay": 0})
    start(server)
    scene.targets()
    scene.until(lambda: scene.verdict("idle"))
    engine = server.main
    os.kill(engine, signal.SIGKILL)
    scene.mark("death")

    def stopped() -> bool:
        if server.state() == "loading" and server.main != engine:
            os.kill(server.main, signal.SIGSTOP)
            return True
        return False

    wait_for(stopped, "the next engine", interval=0.001)
    scene.mark("hangs")
    scene.scrape(10)


def paused(scene: Scene) -> None:
    """A client pauses the engine and resumes it."""
    server = scene.make(liveness=QUICK)
    start(server)
    scene.targets()
    scene.until(lambda: scene.verdict("idle"))
    url = f"http://127.0.0.1:{server.port('api')}/v1"
    assert requests.post(f"{url}/pause", timeout=60).status_code == 200
    scene.until(
        lambda: scene.verdict("paused"),
        5,
    )
    scene.mark("paused")


def queue(scene: Scene) -> None:
    """More and more clients: the queue grows, and each sequence has a block of a small KV cache."""
    server = scene.make(
        max_num_seqs=40,
        liveness={**QUICK, "stall-after": 60},
        engine_args={"max-num-batched-tokens": 2048},
        env={"TWIN_TOKENS_PER_S": "3", "TWIN_GPU_BLOCKS": "40"},
    )
    start(server)
    scene.targets()
    scene.scrape(3)
    with clients(server, 60, pause=0.3, max_tokens=200):
        scene.mark("load")
        scene.scrape(22)


def keeper_stopped(scene: Scene) -> None:
    """The keeper does not run."""
    server = scene.make()
    start(server)
    scene.targets()
    scene.scrape(4)
    state = server.files.state()
    assert state is not None
    assert state.keeper is not None
    os.kill(state.keeper.pid, signal.SIGSTOP)
    try:
        scene.mark("stopped")
        scene.scrape(4)
    finally:
        os.kill(state.keeper.pid, signal.SIGCONT)


@contextlib.contextmanager
def shop(scene: Scene, later: Path, **keys: Any) -> Iterator[ServiceRig]:
    """A service of two replicas; once the file `later` is there, it says how they answer."""
    scene.files = DOORS
    with scripted_engine.registered(scene.folder) as pythonpath:
        rig = ServiceRig(scene.home, scene.folder, pythonpath)
        try:
            rig.deploy({"later": str(later)}, restart={"policy": "never"}, **keys)
            scene.targets()
            scene.scrape(3)
            yield rig
        finally:
            with contextlib.suppress(AssertionError):
                rig.down_service()
            rig.close()


def service(scene: Scene) -> None:
    """Load, errors, one replica that is missing, then none."""
    later = scene.folder / "later.json"
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello!"}]}
    with shop(scene, later, liveness={"canary": False}) as rig:
        with rig.load(4, pause=0.05, body=body) as load:
            scene.mark("load")
            scene.scrape(6)
            later.write_text(json.dumps({"completion": 500}))
            load.wait_for(1, lambda: load.tally.failed > 0)
            scene.mark("errors")
            scene.scrape(8)
            later.write_text(json.dumps({"completion": "ok"}))
            scene.scrape(4)
        first, second = rig.members()
        assert rig.run("down", first).rc == 0
        scene.targets()
        scene.scrape(3)
        scene.mark("degraded")
        os.kill(rig.engine(second), signal.SIGKILL)
        rig.wait_for_state("died", second)
        scene.targets()
        scene.until(lambda: scene.shows("haproxy_backend_active_servers", 0), 3)
        scene.mark("down")


def rollout(scene: Scene) -> None:
    """A rollout whose command is killed while the new replicas load."""
    with shop(scene, scene.folder / "later.json") as rig:
        meeting = scene.folder / "meeting"
        path = rig.write({"before": [{"wait": str(meeting)}]})
        process = rig.spawn_deploy(path)
        rig.wait_for_action("start")
        rig.kill_when(process, lambda: True)
        scene.targets()
        scene.scrape(4)
        scene.mark("interrupted")
        meeting.touch()


SCENES = (
    healthy, stall, deaths, loading, slow_start, paused, queue, keeper_stopped, service, rollout,
)  # fmt: skip


def document(scene: Scene) -> str:
    """The JSON of a scene, a line for each series."""
    rows = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(scene.scraper.series.items())]
    series = ",\n".join(rows)
    return f'{{"marks": {json.dumps(scene.marks)}, "series": {{\n{series}\n}}}}\n'


def main(names: list[str]) -> int:
    """Record the scenes of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for play in SCENES:
        if names and play.__name__ not in names:
            continue
        sys.stderr.write(f"== {play.__name__}\n")
        with tempfile.TemporaryDirectory(prefix="record-") as text:
            folder = Path(text)
            python = make_interpreter(folder / "env", RELEASE)
            scene = Scene(folder / "home", folder, python)
            scene.home.mkdir()
            try:
                play(scene)
            finally:
                if (folder / "ernie.yaml").exists():
                    Server(scene.home, folder / "ernie.yaml", "ernie").down()
        (FOLDER / f"{play.__name__}.json").write_text(document(scene))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

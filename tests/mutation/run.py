"""Measure which small faults in a room the tests of the room notice: `make mutants ROOM=diagnose`.

A sample of mutants is drawn with a fixed seed. The tests that call a mutant's function come first,
then all of the room; the first failure ends them. A copy of the checkout is changed, never the
checkout. What no test notices is printed; the share of noticed ones is the score.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants
from tests.support import ROOT

LINKED = ("docs", "deploy", "profiles", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile",
          ".ci", ".pre-commit-config.yaml", ".venv")  # fmt: skip
COPIED = ("launcher", "tests", "pyproject.toml", "setup.py")


@dataclass(frozen=True)
class Room:
    """Where the mutants are drawn from, and the tests that have to notice them."""

    sources: list[str]
    tests: list[str]


def room_of(name: str) -> Room:
    """`diagnose`, or a module such as `plan/memory`."""
    path = ROOT / "launcher" / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    folder = name.partition("/")[0]
    return Room([str(file.relative_to(ROOT)) for file in files], [f"tests/{folder}"])


def copy_checkout(target: Path) -> None:
    """The code and its tests as a copy, the rest as links."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name,
                            ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
        else:
            shutil.copy(ROOT / name, target / name)
    for name in LINKED:
        (target / name).symlink_to(ROOT / name)
    for name in ("launcher", "tests"):
        compileall.compile_dir(target / name, quiet=2)


def run_pytest(checkout: Path, arguments: list[str], deadline: float) -> int | None:
    """Pytest's exit code for the copy; None where the deadline ended it."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:randomly",
               "-p", "no:cacheprovider", *arguments]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    with subprocess.Popen(
        command, cwd=checkout, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            return process.wait(deadline)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


@dataclass(frozen=True)
class Calls:
    """Per `file:line` of a function, the tests that call it, the quickest first; their seconds."""

    tests: dict[str, list[str]]
    seconds: dict[str, float]

    def deadline(self, tests: list[str]) -> float:
        """Seconds after which these tests hang; a fault in a loop is often one without an end."""
        return 120 + 20 * sum(self.seconds[one] for one in tests)


def tests_of_functions(checkout: Path, room: Room) -> str:
    """What `tests/mutation/calls.py` notes of the room's tests: the JSON of `Calls`."""
    out = checkout / "lines.json"
    os.environ["MUTATION_LINES"] = json.dumps([str(out), room.sources])
    rc = run_pytest(checkout, ["-p", "tests.mutation.calls", *room.tests], 3600.0)
    del os.environ["MUTATION_LINES"]
    if rc != 0:
        raise SystemExit(f"the tests of the room must pass before a fault is planted (rc {rc})")
    return out.read_text()


class Worker:
    """The process that has everything imported; see `tests/mutation/worker.py`."""

    def __init__(self, checkout: Path, room: Room) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.mutation.worker", *room.tests], text=True,
            cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        collected = self._answer()
        if collected != 0:
            raise SystemExit(f"the tests of the room cannot be collected (rc {collected})")

    def _answer(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def run(self, one: Mutant, text: str, tests: list[str], deadline: float) -> object:
        """The exit code for these tests; -1 where the fault cannot be planted this way."""
        assert self._process.stdin is not None
        request = {"file": one.file, "before": text, "after": one.applied(text), "tests": tests,
                   "deadline": deadline}  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def mirror(checkout: Path, file: str) -> list[str]:
    """The tests of that module by their place; they see it where it runs in another process."""
    module = Path(file).relative_to("launcher")
    tests = Path("tests", module.parent, f"test_{module.name}")
    return [str(tests)] if (checkout / tests).exists() else []


def verdict(
    checkout: Path, worker: Worker, one: Mutant, room: Room, calls: Calls, deadline: float,
    quick: bool,
) -> str:  # fmt: skip
    """`killed`, `hung` (killed too) or `survived`."""
    path = checkout / one.file
    text = path.read_text(encoding="utf-8")
    for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
        stale.unlink()
    path.write_text(one.applied(text), encoding="utf-8")  # for commands that tests start
    mirrored = mirror(checkout, one.file)
    covering = calls.tests.get(f"{one.file}:{one.function}", [])[:100]
    try:
        for tests in (covering, mirrored, *([] if quick else [room.tests])):
            rc: object = -1
            if tests is room.tests:
                # Minutes of waiting for processes, for some rooms: four at a time.
                rc = run_pytest(checkout, ["-n", "4", *tests], deadline)
            elif tests is not mirrored and tests and one.function:
                rc = worker.run(one, text, tests, calls.deadline(tests))
            if rc == -1 and tests:
                rc = run_pytest(checkout, tests, deadline)
            if tests and rc != 0:
                return "hung" if rc is None else "killed"
        return "survived"
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Draw, plant, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("room", help="a room or module: diagnose, report, plan/memory, keeper")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", help="arguments for pytest instead of the room's own tests")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only the tests that call the function and those of its module: a lower bound",
    )
    parser.add_argument(
        "--calls",
        type=Path,
        help="which tests call which function: read from this file, or kept there",
    )
    parser.add_argument("--only", help="mutants of files that contain this text")
    args = parser.parse_args()
    room = room_of(args.room)
    if args.tests:
        room = Room(room.sources, args.tests.split())
    drawn = [
        one
        for file in room.sources
        if not args.only or args.only in file
        for one in mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    ]
    total = len(drawn)
    if args.sample < total:
        drawn = sorted(random.Random(args.seed).sample(drawn, args.sample), key=str)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="edt-mutants-") as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        started = time.monotonic()
        if args.calls and args.calls.exists():
            noted = args.calls.read_text()
        else:
            noted = tests_of_functions(checkout, room)
        if args.calls:
            args.calls.write_text(noted)
        # Traced, the tests take longer than they do later; from a file it is not known how long.
        deadline = 600 + 2 * (time.monotonic() - started)
        print(f"{args.room}: {len(drawn)} of {total} mutants, seed {args.seed};"
              f" the tests take {time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
        calls = Calls(**json.loads(noted))
        worker = Worker(checkout, room)
        for one in drawn:
            word = verdict(checkout, worker, one, room, calls, deadline, args.quick)
            counts[word] += 1
            print(f"{word:<9} {one}", flush=True)
        worker.close()
    score = 100 * (1 - counts["survived"] / max(1, sum(counts.values())))
    print(f"{args.room}: {score:.0f} % noticed ({dict(counts)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

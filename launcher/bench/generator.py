"""Drives the load generator, NVIDIA's aiperf, as a child process; docs/bench.md says why this one.

One child is one level in one repetition. It gets a configuration file (JSON, which is YAML too) and
the file of requests; the API key comes from its environment, so that it is in no file and no list
of processes. Its records of every chunk are read by `launcher.bench.records`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher import files
from launcher.bench.records import FILE, Record, read_records
from launcher.bench.scenario import Scenario
from launcher.environments import store
from launcher.environments.commands import die_with_parent
from launcher.errors import DeadlineError, PreconditionError, Problem
from launcher.host import processes
from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.target import Target

RECIPE = "bench"
KEY_VARIABLE = "ERNIE_DEPLOY_BENCH_KEY"
HEADER_VARIABLE = "ERNIE_DEPLOY_BENCH_HEADER_{}"
START_SECONDS = 180.0
"""How long the generator may take to start and to write its files; 6 s is usual, 40 s at load 8."""
GRACE = 30.0
"""Seconds that running requests get at the end of a level that is ended by its duration."""
OUTPUT_TAIL = 4000
_TOKENIZER: JsonObject = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
}  # fmt: skip
"""A tokenizer of one word. The generator will not start without one, and would look for the model's
on the hub; tokens are counted by the server, so this one is never used."""


@dataclass(frozen=True)
class Program:
    """The installed generator: its executable and its version."""

    path: str
    version: str


@dataclass(frozen=True)
class Job:
    """One level in one repetition; `seconds` is the longest that it may send requests."""

    loop: Literal["closed", "open"]
    value: float
    requests: int
    warm_up: int
    seconds: float
    arrivals: str = "poisson"
    seed: int = 1


@dataclass(frozen=True)
class Ran:
    """What a job brought: the records, and when it ran (CLOCK_MONOTONIC seconds)."""

    records: tuple[Record, ...]
    begin: float
    end: float


def find_program() -> Program:
    """The generator in the newest environment of `engine install bench`.

    Raises:
        PreconditionError: `missing-generator`.
    """
    for environment in store.complete(RECIPE):
        path = Path(environment.python).with_name("aiperf")
        if os.access(path, os.X_OK):
            return Program(str(path), str(environment.version))
    raise PreconditionError(
            Problem(
            "missing-generator", "the load generator is not installed", None,
            f"ernie-deploy engine install {RECIPE}",
        ),
    )  # fmt: skip


def write_inputs(folder: Path, bodies: Sequence[JsonObject]) -> None:
    """Write what every job of a run shares: the requests and the tokenizer.

    Raises:
        OSError: the folder cannot be written to.
    """
    lines = "".join(json.dumps(body, ensure_ascii=False) + "\n" for body in bodies)
    files.write_atomically(folder / "requests.jsonl", lines)
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(mode=0o700, exist_ok=True)
    files.write_atomically(tokenizer / "tokenizer.json", json.dumps(_TOKENIZER))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    files.write_atomically(tokenizer / "tokenizer_config.json", json.dumps(settings))


def configuration(folder: Path, target: Target, job: Job) -> dict[str, JsonValue]:
    """The generator's configuration of a job; pure, and without any secret."""
    endpoint: dict[str, JsonValue] = {
        "url": target.endpoint.chat_url,
        "type": "chat",
        "streaming": True,
        "timeout": target.request_timeout,
        "use_server_token_count": True,
    }
    if target.endpoint.key:
        endpoint["api_key"] = f"${{{KEY_VARIABLE}}}"
    if target.endpoint.headers:
        endpoint["headers"] = {
            name: f"${{{HEADER_VARIABLE.format(i)}}}"
            for i, name in enumerate(sorted(target.endpoint.headers))
        }
    if job.loop == "closed":
        load: dict[str, JsonValue] = {"type": "concurrency", "concurrency": int(job.value)}
    else:
        load = {"type": job.arrivals, "rate": job.value}
    phases: list[JsonValue] = [
        {
            "name": "profiling", **load, "requests": job.requests, "duration": job.seconds,
            "grace_period": GRACE,
        }
    ]  # fmt: skip
    if job.warm_up:
        at_once = max(1, min(job.warm_up, int(job.value)))
        warm_up: dict[str, JsonValue] = {
            "name": "warmup", "type": "concurrency", "concurrency": at_once,
            "requests": job.warm_up, "exclude_from_results": True,
        }  # fmt: skip
        phases.insert(0, warm_up)
    return {
        "schemaVersion": "2.0",
        "randomSeed": job.seed,
        "benchmark": {
            "model": target.endpoint.model,
            "endpoint": endpoint,
            "dataset": {
                "type": "file",
                "path": str(folder / "requests.jsonl"),
                "format": "raw_payload",
                "sampling": "sequential",
            },
            "tokenizer": {"name": str(folder / "tokenizer")},
            "phases": phases,
            "artifacts": {
                "dir": str(folder / "artifacts"), "summary": ["json"], "records": ["jsonl"],
                "raw": True,
            },
            "gpu_telemetry": {"enabled": False},
            "server_metrics": {"enabled": False},
            "runtime": {"ui": "none", "workers": 1, "record_processors": 1},
        },
    }  # fmt: skip


def environment(target: Target, temporary: str) -> dict[str, str]:
    """The generator's environment: the key and headers, and no file or message to anywhere else.

    `temporary` is a short path: the generator's sockets lie in it, and may have 107 bytes.
    """
    kept = {"PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"}
    env = {name: value for name, value in os.environ.items() if name in kept}
    env |= {
        "HOME": temporary, "TMPDIR": temporary, "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    if target.endpoint.key:
        env[KEY_VARIABLE] = target.endpoint.key
    for i, name in enumerate(sorted(target.endpoint.headers)):
        env[HEADER_VARIABLE.format(i)] = target.endpoint.headers[name]
    return env


def run_job(
    program: Program,
    target: Target,
    folder: Path,
    job: Job,
    on_start: Callable[[int], None] = lambda pid: None,
) -> Ran:
    """Run one job to its end; `on_start` gets the child's pid.

    The child and all that it started have ended when this returns or raises, also on Ctrl-C; the
    kernel ends the child should this process be killed.

    Raises:
        DeadlineError: `generator-deadline`: it did not end in time.
        PreconditionError: `generator-failed`, `bad-generator-output`.
    """
    config = folder / "generator.json"
    files.write_atomically(config, json.dumps(configuration(folder, target, job), indent=1))
    artifacts = folder / "artifacts"
    shutil.rmtree(artifacts, ignore_errors=True)  # those of the job before are not this one's
    begin = time.monotonic()
    wait = START_SECONDS + target.request_timeout + job.seconds + GRACE
    log = folder / "generator.log"
    with tempfile.TemporaryDirectory(prefix="edb-") as temporary, log.open("wb") as output:
        process = subprocess.Popen(
            [program.path, "profile", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(target, temporary),
            cwd=folder,
            start_new_session=True,
            umask=0o077,
            preexec_fn=die_with_parent(),
        )
        try:
            on_start(process.pid)
            if not _ends_within(process, wait):
                raise DeadlineError(
                    Problem(
                        "generator-deadline",
                        f"the load generator did not end within {wait:.0f} s",
                        str(log),
                        "its requests may hang: `ernie-deploy probe` the server",
                    )
                )
        finally:
            code = end_session(process)
    # Some failures of its start end with exit code 0, without any record.
    if code != 0 or not (artifacts / FILE).exists():
        raise PreconditionError(
            Problem(
                "generator-failed",
                f"the load generator ended with exit code {code}: {_reason(log, target)}",
                str(log),
            )
        )
    return Ran(tuple(read_records(artifacts)), begin, time.monotonic())


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a child without reaping it, so that its number stays its own."""
    descriptor = os.pidfd_open(process.pid)
    try:
        return files.wait_until_ready(descriptor, seconds)
    finally:
        os.close(descriptor)


def end_session(process: subprocess.Popen[bytes]) -> int:
    """End the child if it runs, and every process of the session that it leads; its exit code.

    The child is not reaped before the last signal: the number of its group is its own until then.
    """
    root = processes.look(process.pid)
    below = processes.descendants(root) if root is not None else []
    if not _ends_within(process, 0.0):
        os.killpg(process.pid, signal.SIGTERM)
        _ends_within(process, 5.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in below:
        now = processes.look(one.pid)
        if now is not None and now.start == one.start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
    return process.wait()


def requests_of(scenario: Scenario, loop: Literal["closed", "open"], value: float) -> Job:
    """The job of a level of a scenario."""
    load = scenario.load
    return Job(
        loop, value, load.requests_of(loop, value), load.warm_up, load.duration, load.arrivals,
        scenario.seed,
    )  # fmt: skip


def _reason(log: Path, target: Target) -> str:
    """The last line that names an error, without secrets and without the frame around it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - OUTPUT_TAIL))
        text = file.read().decode(errors="replace")
    for secret in target.secrets:
        text = text.replace(secret, "***")
    lines = [line.strip("│╭╮╰╯─ \t") for line in text.splitlines()]
    named = [line for line in lines if "rror" in line or "Reason" in line]
    return (named or [line for line in lines if line] or ["it wrote nothing"])[-1][:300]

"""Every fault of the twin: the table, and the reading of ``TWIN_FAULT``.

``TWIN_FAULT=name[@key=value[@key=value]],name...`` switches faults on; in a value ``%2C`` is a
comma, ``%40`` an at sign and ``%0A`` a line end. An unknown name or key stops
the twin with exit code 97 at once, so that a test cannot pass because of a misspelt fault.
This module imports nothing of the package: tests load it through ``tests.twin.faults``.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One switch.

    Attributes:
        line: what happens, in one line.
        row: the measured behaviour it stands for (section of behaviour notes, upstream place).
        exit_code: of the api_server; None: it keeps running or never exits.
        text: what a reader of stderr or a log must find; empty: nothing is printed.
        where: the stream or file that holds ``text``.
        keys: parameters with their defaults.
    """

    line: str
    row: str
    exit_code: int | None
    text: str = ""
    where: str = "stderr"
    keys: tuple[tuple[str, str], ...] = ()


_FAILED = "Failed to launch worker processes, check log/workerlog.* for more details."
_DIED = "Worker process has died in the background (code=0). API server is forced to stop."
_POLLIN = "Assertion failed: pfd.revents & POLLIN (src/signaler.cpp:238)"

FAULTS: dict[str, Fault] = {
    "worker-dies-in-init": Fault(
        "the worker exits before it loads anything",
        "1: worker dies in init/load; engine.py:160,172",
        0,
        _FAILED,
        keys=(("code", "1"), ("signal", "0"), ("text", "")),
    ),
    "worker-dies-in-load": Fault(
        "the worker exits while it loads weights (text: its last words in workerlog.0)",
        "1: worker dies in init/load; engine.py:160, api_server.py:778",
        0,
        _FAILED,
        keys=(("code", "1"), ("signal", "0"), ("text", ""), ("at", "40")),
    ),
    "worker-out-of-memory": Fault(
        "the worker meets Paddle's out-of-memory error in load",
        "1: worker dies in init/load (OOM)",
        0,
        "ResourceExhaustedError: Out of memory error on GPU 0",
        "workerlog.0",
    ),
    "worker-dies-in-profiling": Fault(
        "the worker dies while the KV cache is profiled; the front end waits forever",
        "1: worker dies in KV-cache profiling; engine.py:695",
        None,
        _FAILED,
        keys=(
            ("code", "1"),
            ("text", "ValueError: The total number of blocks cannot be less than zero. "),
        ),
    ),
    "worker-dies-in-warmup": Fault(
        "the worker dies in warm-up; an unrelated FileNotFoundError follows",
        "1: worker dies in warm-up; prefix_cache_manager.py:227",
        1,
        "FileNotFoundError: [Errno 2] No such file or directory: '/cache_ready_signal.",
        keys=(("code", "1"),),
    ),
    "worker-dies-after-ready": Fault(
        "the worker dies some seconds after it was ready, or at its first request",
        "1: worker dies after ready; api_server.py:754-770",
        0,
        _DIED,
        keys=(("after", "2"), ("code", "7"), ("signal", "0"), ("on", "time"), ("told", "")),
    ),
    "worker-hangs-in-load": Fault(
        "the progress bar never moves (stopped=1: the worker reacts to SIGKILL alone)",
        "7: FastDeploy has no load time-out; failure load-hang",
        None,
        "Loading Weights:",
        keys=(("at", "0"), ("stopped", "")),
    ),
    "worker-spins-in-load": Fault(
        "the worker burns CPU in load without an end, without a line",
        "7: FastDeploy has no load time-out",
        None,
    ),
    "worker-ignores-sigterm": Fault(
        "the worker ignores SIGTERM: only SIGKILL ends it",
        "4: the worker outlives its front end; FastDeploy#5721",
        0,
    ),
    "heartbeat-stops": Fault(
        "the worker's loop stands after ready: /health 404 after 30 s, chats hang",
        "8: worker hung",
        None,
        "Worker Service Not Healthy",
        "GET /health",
        keys=(("after", "0"),),
    ),
    "chat-hangs": Fault(
        "every completion hangs while /health stays 200 (after: answers that it gives before)",
        "8: /health is 200 while every chat hangs",
        None,
        keys=(("after", "0"),),
    ),
    "weights-cleared": Fault(
        "the weights are cleared: /health 304 with an empty body",
        "8: weights cleared (dynamic load)",
        None,
        "RuntimeError: Response content longer than Content-Length",
        keys=(("parser", "httptools"),),
    ),
    "launch-fails": Fault(
        "paddle.distributed.launch fails by itself: no workerlog.0 is written",
        "1: launch itself fails (bad --devices)",
        0,
        "ValueError: substring not found",
        "launch_worker.log",
    ),
    "port-taken-orphan": Fault(
        "P taken, ending 2: rc 1 and the cache queue's process stays on C",
        "2: four endings (P taken)",
        1,
        "Exception: The parameter `port`:",
    ),
    "port-taken-abort": Fault(
        "P taken, ending 3: zmq assertion, the cache queue's process stays",
        "2: four endings (P taken)",
        -6,
        _POLLIN,
    ),
    "port-taken-hang": Fault(
        "P taken, ending 4: the process never exits (the default if SIGINT is ignored)",
        "2: four endings (P taken)",
        None,
        "Exception: The parameter `port`:",
    ),
    "port-taken-while-loading": Fault(
        "another process binds P between FastDeploy's check and gunicorn's bind",
        "12: ports are checked long before they are bound",
        1,
        "Connection in use: (",
    ),
    "exit-hangs": Fault(
        "every exit of a ready server hangs in zmq; SIGTERM then ends it in 2.5 s",
        "2: where it hangs (zmq_server.py:379, common_engine.py:1504)",
        None,
        _DIED,
    ),
    "stop-hangs": Fault(
        "a stop that was asked for never ends, and SIGTERM does not help",
        "4: escalation",
        None,
    ),
    "term-aborts": Fault(
        "SIGTERM when ready: rc -6, the cache queue's process stays (1 of 22 runs)",
        "4: SIGTERM -> A, ready",
        -6,
        _POLLIN,
    ),
    "int-aborts": Fault(
        "SIGINT or SIGQUIT when ready, the worker's death too: rc -6, the cache queue's process "
        "stays (4 of 6 runs once, 1 of 3 later)",
        "4: SIGINT or SIGQUIT -> A, ready",
        -6,
        _POLLIN,
    ),
    "http-term-ends": Fault(
        "SIGTERM to one HTTP worker ends the whole server (the default boots another one)",
        "3: a gunicorn worker that gets SIGTERM by itself",
        0,
    ),
    "few-phases": Fault(
        "the lines of profiling and of warm-up never show",
        "7: phases that may never show",
        None,
    ),
    "stop-slow": Fault(
        "a clean stop takes this long (2.6 to 13.9 s were measured)",
        "4: SIGTERM -> A, ready",
        0,
        keys=(("seconds", "13.9"),),
    ),
    "front-dies": Fault(
        "the front end is killed (SIGKILL) at a phase: import, load, serve",
        "4: SIGKILL -> A",
        -9,
        keys=(("phase", "serve"), ("after", "0")),
    ),
    "late-start": Fault(
        "one phase takes this many seconds more: import, load, profile, warmup",
        "7: floor of the start-up",
        None,
        keys=(("phase", "load"), ("seconds", "60")),
    ),
    "config-differs": Fault(
        "the server runs with other values than asked (max_model_len=2048 if none is given)",
        "8: /config-info",
        None,
        keys=(
            ("max_model_len", ""),
            ("max_num_seqs", ""),
            ("tensor_parallel_size", ""),
            ("quantization", ""),
            ("block_size", ""),
            ("gpu_memory_utilization", ""),
        ),
    ),
    "noise": Fault(
        "harmless lines that look like errors are printed at start",
        "1: noise",
        None,
        "Error extracting sub services: [Errno 3] No such process",
    ),
    "root-logger-prints": Fault(
        "2.6: every INFO line of every log is on stderr as well, console lines twice: read in "
        "logger.py, not so in the measured build, whose llm.py takes the handler away",
        "changes 2.6: root handler; fastdeploy/__init__.py:50-70, entrypoints/llm.py:54",
        None,
    ),
    "engine-error": Fault(
        "an error in the engine: 500, from 2.6 on 200 with an empty text",
        "9: engine errors; serving_chat.py:625",
        None,
    ),
    "say": Fault(
        "prints the sample of a failure signature where it was seen, and ends as recorded",
        "failures.json",
        None,
        keys=(("id", ""),),
    ),
    "answer-empty": Fault("every answer is empty", "10: for the smoke suite", None),
    "answer-wrong": Fault("every answer is off the topic", "10: for the smoke suite", None),
    "answer-cut": Fault("streams end without finish_reason and [DONE]", "4: stream cut", None),
    "answer-no-done": Fault("streams lack the last line [DONE]", "10: for the smoke suite", None),
    "answer-no-usage": Fault("usage is missing or null", "10: for the smoke suite", None),
    "answer-bad-usage": Fault("usage does not add up", "10: for the smoke suite", None),
    "answer-no-tools": Fault("tools are answered in prose", "10: for the smoke suite", None),
    "answer-bad-tools": Fault("tool arguments are not JSON", "10: for the smoke suite", None),
    "answer-leaks-thinking": Fault("thinking stands in content", "10: smoke suite", None),
    "answer-no-stop": Fault("stop strings and max_tokens are ignored", "10: smoke suite", None),
    "answer-forgets": Fault("only the last message is read", "10: smoke suite", None),
    "answer-slow": Fault(
        "a token takes this many seconds more", "-", None, keys=(("seconds", "0.3"),)
    ),
}

#: What a drill calls a fault (launcher/drill/planted.py), and ours that is the same. While a file
#: ``drill-fault`` in TMPDIR holds a name, that fault is on; ``drill-faults`` declares the names.
PLANTED = {
    "health-304": "weights-cleared",
    "health-404": "heartbeat-stops",
    "chat-hangs": "chat-hangs",
    "chat-slow": "answer-slow",
    "answer-empty": "answer-empty",
}


#: Failure signatures without a line of their own are these faults.
SILENT = {
    "profile-hang": "worker-dies-in-profiling",
    "load-hang": "worker-hangs-in-load",
    "residual-processes": "front-dies",
    "msgqueue-limit": "chat-hangs",
    "enable-thinking-ignored": "answer-leaks-thinking",
    "worker-launch-failed": "worker-dies-in-init",
    "worker-died-running": "worker-dies-after-ready",
}


def parse(text: str) -> dict[str, dict[str, str]]:
    """Read the value of ``TWIN_FAULT``.

    Raises:
        ValueError: an unknown fault or parameter.
    """
    active: dict[str, dict[str, str]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, *pairs = item.split("@")
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}")
        parameters = dict(FAULTS[name].keys)
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key not in parameters:
                raise ValueError(f"fault {name!r} has no parameter {key!r}")
            parameters[key] = value.replace("%2C", ",").replace("%40", "@").replace("%0A", "\n")
        if name == "say" and parameters["id"] in SILENT:
            name = SILENT[parameters["id"]]
            parameters = dict(FAULTS[name].keys)
        active[name] = {**parameters, "fault": name}  # never empty: callers ask for its truth
    return active


try:
    ACTIVE = parse(os.environ.get("TWIN_FAULT", ""))
except ValueError as error:
    sys.stderr.write(f"twin: {error}\n")
    sys.stderr.flush()
    os._exit(97)


def strike() -> None:
    """Note the moment at which a fault strikes, for tests that say how soon it was noticed."""
    path = os.environ.get("TWIN_STRIKES")
    if path:
        with open(path, "a", encoding="ascii") as stream:
            stream.write(f"{time.time()}\n")


def fault(name: str) -> dict[str, str] | None:
    """Its parameters if this fault is switched on."""
    assert name in FAULTS, name
    return ACTIVE.get(name) or (planted(name) if name in PLANTED.values() else None)


#: The engine's private folder, where a keeper has started us; else no fault can be planted.
_FOLDER = os.environ.get("TMPDIR") if os.environ.get("ERNIE_DEPLOY_INSTANCE") else None


def declare() -> None:
    """Tell a drill which faults can be planted while we run."""
    if _FOLDER is not None:
        with open(f"{_FOLDER}/drill-faults", "w", encoding="ascii") as stream:
            stream.write("\n".join(PLANTED))


def planted(name: str) -> dict[str, str] | None:
    """The parameters of a fault that a drill has planted, None where it has not."""
    if _FOLDER is None:
        return None
    try:
        with open(f"{_FOLDER}/drill-fault", encoding="ascii") as stream:
            chosen = PLANTED.get(stream.read().strip())
    except OSError:
        return None
    return parse(name)[name] if chosen == name else None

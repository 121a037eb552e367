"""Runs `hub_client.py` in the environment of the hubs' clients and reads what it says."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from launcher.environments.commands import clean_environment, die_with_parent, redact
from launcher.errors import DeadlineError, DeployError, PreconditionError
from launcher.json_values import JsonObject, JsonValue, object_at, text_at

SCRIPT = Path(__file__).resolve().with_name("hub_client.py")
STALL = 300.0
"""Seconds without one more byte after which a download is given up: what is there is kept."""
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one event: the listing of a repository with 100,000 files takes some 20 MB."""
_TAIL = 16 * 1024
_TICK = 0.5
TOKENS = {
    "huggingface": "HF_TOKEN",
    "modelscope": "MODELSCOPE_API_TOKEN",
    "aistudio": "AISTUDIO_ACCESS_TOKEN",
}
"""Hub to the variable from which its client reads a token."""
ENDPOINTS = {
    "huggingface": "HF_ENDPOINT",
    "modelscope": "MODELSCOPE_ENDPOINT",
    "aistudio": "STUDIO_GIT_HOST",
}
"""Hub to the variable that names another address of it."""
_DEFAULTS = {
    "HF_HUB_DOWNLOAD_TIMEOUT": "60",
    # A file of 5 GB takes longer than the hour that is the client's own limit: at 1 MB/s 83 min.
    "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": "604800",
    "MODELSCOPE_LOG_LEVEL": "ERROR",
}
_ALWAYS = {
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONNOUSERSITE": "1",
    # It would wait 10 s for a lock again and again; ours is held already.
    "WAIT_UNTIL_DONE": "",
}


@dataclass(frozen=True)
class Client:
    """The clients' interpreter and the hub to be asked; `token` is a secret or None."""

    python: str
    hub: str
    token: str | None = None
    stall: float = STALL

    def environment(self) -> dict[str, str]:
        """The variables of the client; the token is one of them and nowhere else."""
        defaults = {k: v for k, v in _DEFAULTS.items() if k not in os.environ}
        token = {TOKENS[self.hub]: self.token} if self.token else {}
        return clean_environment({**defaults, **_ALWAYS, **token})

    def run(
        self,
        request: JsonObject,
        on_event: Callable[[JsonObject], None],
        on_tick: Callable[[], None],
    ) -> None:
        """Run one request; `on_tick` is called at least twice a second.

        Raises:
            PreconditionError: `hub-not-found`, `hub-unauthorized`, `hub-unreachable`, `disk-full`,
                `wrong-checksum` or `hub-client-failed`.
            DeadlineError: `download-stalled`: nothing came for `stall` seconds.
        """
        process = subprocess.Popen(
            [self.python, "-I", "-B", "-W", "ignore", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        reader = _Reader(self, process, on_event, on_tick)
        try:
            reader.send(json.dumps({"hub": self.hub, **request}).encode())
            reader.read()
            process.wait()
        finally:
            _end(process)
        if reader.failure is not None:
            raise self._failed(reader.failure, reader.complaint())
        if process.returncode:
            text = f"the client ended with exit code {process.returncode}"
            raise self._failed({"kind": "client", "message": text}, reader.complaint())

    def hide(self, text: str) -> str:
        """`text` without the token and without credentials of URLs."""
        for secret in (self.token, os.environ.get(TOKENS[self.hub])):
            text = text.replace(secret, "***") if secret else text
        return redact(text)

    def _failed(self, failure: Mapping[str, JsonValue], complaint: str) -> DeployError:
        kind = text_at(failure, "kind")
        message = f"{self.hub}: {self.hide(text_at(failure, 'message'))}"
        if kind == "not-found":
            return _error(
                "hub-not-found",
                message,
                "check the name and the revision; a private "
                "model needs --token, and each hub has its own names (--hub)",
            )
        if kind == "unauthorized":
            return _error(
                "hub-unauthorized",
                message,
                "give a token: --token env:NAME or file:PATH, and accept the model's conditions on "
                "the hub's page",
            )
        message += f" ({complaint})" if complaint else ""
        if kind == "wrong-bytes":
            return _error(
                "wrong-checksum",
                message,
                "the hub or a cache between sends other bytes "
                "than the hub lists: try again later, or another --hub",
            )
        if kind == "disk-full":
            return _error(
                "disk-full",
                message,
                "free space, or use --to or the profile's "
                "`cache-dir`; what was downloaded is kept and continued",
            )
        if kind == "network":
            return _error(
                "hub-unreachable",
                message,
                "run the same command again: it continues; "
                "behind a proxy set HTTPS_PROXY, for a mirror " + ENDPOINTS[self.hub],
            )
        return _error("hub-client-failed", message, "run the same command again: it continues")


def _error(code: str, message: str, remedy: str) -> DeployError:
    return PreconditionError.of(code, message, None, remedy)


class _Reader:
    """Reads events and the end of standard error, with a limit of silence."""

    def __init__(
        self,
        client: Client,
        process: subprocess.Popen[bytes],
        on_event: Callable[[JsonObject], None],
        on_tick: Callable[[], None],
    ) -> None:
        self.failure: JsonObject | None = None
        self._client = client
        self._process = process
        self._on_event, self._on_tick = on_event, on_tick
        self._rest = b""
        self._errors = b""

    def send(self, data: bytes) -> None:
        """Give the request to the client."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError), self._process.stdin as stream:
            stream.write(data)

    def complaint(self) -> str:
        """The last line that the client printed, without secrets."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return self._client.hide(lines[-1])[:300] if lines else ""

    def read(self) -> None:
        """Read until the client closes its pipes.

        Raises:
            DeadlineError: `download-stalled`.
        """
        out, err = self._process.stdout, self._process.stderr
        assert out is not None and err is not None  # noqa: S101, PT018
        last = time.monotonic()
        with closing(selectors.DefaultSelector()) as selector:
            for pipe in (out, err):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe.fileno(), selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(_TICK):
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fd)
                    elif key.fd == out.fileno():
                        last = time.monotonic()
                        self._take(chunk)
                    else:
                        self._errors = (self._errors + chunk)[-_TAIL:]
                self._on_tick()
                if time.monotonic() - last > self._client.stall:
                    raise DeadlineError.of(
                        "download-stalled",
                        f"{self._client.hub}: no byte came for {self._client.stall:g} s", None,
                        "run the same command again: it continues where it stopped",
                    )  # fmt: skip

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise PreconditionError.of(
                "hub-client-failed", f"{self._client.hub}: the list of files is too long"
            )
        for line in lines:
            event = object_at(json.loads(line))
            if text_at(event, "event") == "error":
                self.failure = event
            else:
                self._on_event(event)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the client and all that it started are gone."""
    if process.returncode is None:
        # Not reaped yet, so the number is still this process's.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()

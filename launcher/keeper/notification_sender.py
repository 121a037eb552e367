"""Sends one notification, as a program of its own; see `launcher.keeper.notifications`.

Reads one JSON object from its standard input: `message` (what is sent), `variables`, and the
target with its secrets put in: `command` and `env`, or `webhook` and `headers`; `timeout` in
seconds of one try, `retries`. Prints one JSON object: `ok`, `message`, `tries`.

It imports next to nothing but the standard library, lives for seconds, and ends what its command
has started: whatever that does, nothing of it becomes a process of the instance.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from launcher.host.processes import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    import http.client
    from types import FrameType
    from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries: doubled each time, a tenth more or less."""
LARGEST_ANSWER = 64 * 1024
"""Bytes read of an answer, which nobody needs: only its status counts."""
MOST_REDIRECTS = 3
LATER = (408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524)
"""Statuses after which the same message may be taken a moment later."""


class Refused(Exception):  # noqa: N818 - reads as what it is
    """The message was not taken; `again` where another try can help."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        """Keep both."""
        self.again = again
        super().__init__(message)


def main() -> int:
    """Try until it is sent, or until there is no try left."""
    _adopt_orphans()
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGALRM, _late)
    task = json.loads(sys.stdin.buffer.read())
    error = ""
    tries = 0
    for tries in range(1, task["retries"] + 2):
        if tries > 1:
            time.sleep(_pause(tries - 1))
        try:
            _try(task)
        except Refused as refused:
            error = str(refused)
            if refused.again:
                continue
        except OSError as wrong:
            error = f"{wrong.strerror or wrong}"
            continue
        except ValueError as wrong:  # its text may quote a URL or a header that is a secret
            error = f"it cannot be sent ({type(wrong).__name__})"
        else:
            error = ""
        break
    _end_descendants()
    print(json.dumps({"ok": not error, "message": error[:300], "tries": tries}))
    return 0


def _pause(number: int) -> float:
    spread = 0.9 + 0.2 * int.from_bytes(os.urandom(1), "big") / 255
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (number - 1)) * spread
    return pause


def _try(task: dict[str, Any]) -> None:
    """One try, over after `timeout` seconds whatever happens."""
    signal.setitimer(signal.ITIMER_REAL, task["timeout"])
    try:
        if task["command"]:
            _run(task)
        else:
            _post(task)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end_descendants()


def _late(number: int, frame: FrameType | None) -> None:
    raise Refused("it did not end in time")


def _terminated(number: int, frame: FrameType | None) -> None:
    _end_descendants()
    os._exit(1)


# -- a command ------------------------------------------------------------------------------------


def _run(task: dict[str, Any]) -> None:
    import subprocess

    env = {**task["variables"], **task["env"]}
    process = subprocess.Popen(
        task["command"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=env,
        start_new_session=True,
    )
    try:
        process.communicate(json.dumps(task["message"]).encode() + b"\n")
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        code = process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise Refused(f"the command {how}")


def _adopt_orphans() -> None:
    """PR_SET_CHILD_SUBREAPER: what a command leaves running becomes ours, not the keeper's."""
    import ctypes

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def _end_descendants() -> None:
    """SIGKILL to all that a command has started, until there is nothing."""
    while True:
        below = children(os.getpid())
        for pid in below:
            os.kill(pid, signal.SIGKILL)  # dead or alive, it is our child until we wait for it
        for _ in below or (0,):
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


# -- a webhook ------------------------------------------------------------------------------------


def _post(task: dict[str, Any]) -> None:
    """POST the message as JSON; 2xx is taken. Follows 307 and 308 on the same host only."""
    from urllib.parse import urljoin, urlsplit

    url = task["webhook"]
    body = json.dumps(task["message"]).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ernie-deploy",
        "Connection": "close",
        **task["headers"],
    }
    for _ in range(MOST_REDIRECTS + 1):
        status, reason, location = _request(url, body, headers, task["timeout"])
        if 200 <= status < 300:
            return
        if not 300 <= status < 400:
            raise Refused(f"it answered {status} {reason}".rstrip(), again=status in LATER)
        target = urljoin(url, location or "")
        there, here = urlsplit(target), urlsplit(url)
        if status not in (307, 308) or not location:
            raise Refused(f"it answered {status}, a redirect that is not followed", again=False)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Refused(f"it answered {status}, a redirect to another host", again=False)
        url = target
    raise Refused("it redirects without end", again=False)


def _request(
    url: str, body: bytes, headers: dict[str, str], timeout: float
) -> tuple[int, str, str | None]:
    """(status, reason, location) of a POST."""
    import http.client

    connection, path, extra = _connect(url, timeout)
    try:
        connection.request("POST", path, body=body, headers={**headers, **extra})
        answer = connection.getresponse()
        answer.read(LARGEST_ANSWER)
        reason = "".join(c for c in answer.reason if c.isprintable())[:80]
        return answer.status, reason, answer.headers.get("Location")
    except http.client.HTTPException as error:
        raise Refused(f"its answer is no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()


def _connect(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection, the path to ask for, and further headers.

    Through the environment's proxy, where one is set. The certificate is always verified.
    """
    import http.client
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    secure = parts.scheme == "https"
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host) or host in ("localhost", "127.0.0.1"):
        if secure:
            return _secure(host, port, timeout), path, {}
        return http.client.HTTPConnection(host, port, timeout=timeout), path, {}
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if via.scheme != "http" or not via.hostname:
        raise Refused(f"a proxy of the kind {via.scheme!r} cannot be used", again=False)
    extra = _proxy_headers(via.username, via.password)
    if secure:
        tunnel = _secure(via.hostname, via.port or 80, timeout)
        tunnel.set_tunnel(host, port, headers=extra)
        return tunnel, path, {}
    through = http.client.HTTPConnection(via.hostname, via.port or 80, timeout=timeout)
    return through, url, extra


def _secure(host: str, port: int | None, timeout: float) -> http.client.HTTPSConnection:
    import http.client
    import ssl

    context = ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    import base64
    from urllib.parse import unquote

    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


if __name__ == "__main__":
    sys.exit(main())

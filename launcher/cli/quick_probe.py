"""The usual answer of `probe`, a yes of a keeper, with little more imported than json and socket.

An exec probe starts a process every few seconds, on the processor of the server that it asks about.
Whatever is not a plain yes is left to `launcher.instance.probe`, which knows all the reasons.
"""

from __future__ import annotations

import json
import os
import socket

TIMEOUT = 0.2
"""Seconds for each step; a keeper answers in a millisecond, and the other way has its own time."""
LONGEST_PATH = 107
"""Bytes of a Unix socket's path."""
LONGEST_ANSWER = 4096
_SEPARATORS = str.maketrans("", "", "-._")


def ask_quickly(target: str, kind: str) -> str | None:
    """The reason with which the keeper of the instance `target` says yes to `kind`, else None."""
    home = _home()
    if home is None or not target.translate(_SEPARATORS).isalnum() or target.startswith("."):
        return None
    if target.endswith((".yaml", ".yml")) or os.path.lexists(f"{home}/services/{target}"):
        return None
    path = f"{home}/instances/{target}/control.sock"
    if len(os.fsencode(path)) > LONGEST_PATH:
        return None
    try:
        answer = json.loads(_exchange(path, json.dumps({"v": 1, "op": "probe", "kind": kind})))
    except (OSError, ValueError):
        return None
    if not isinstance(answer, dict) or (answer.get("ok"), answer.get("passed")) != (True, True):
        return None
    reason = answer.get("reason")
    return reason if isinstance(reason, str) and reason.isprintable() and reason.isascii() else None


def _exchange(path: str, line: str) -> bytes:
    """The keeper's line after ours; empty where it closes, or sends more than an answer has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT)
        client.connect(path)
        client.sendall(f"{line}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            chunk = client.recv(LONGEST_ANSWER)
            answer += chunk
            if not chunk or len(answer) > LONGEST_ANSWER:
                return b""
    return answer


def _home() -> str | None:
    """The state directory by the rules of `launcher.paths`; None where they need more than this."""
    chosen = os.environ.get("ERNIE_DEPLOY_HOME")
    if not chosen:
        base = os.environ.get("XDG_STATE_HOME")
        if not base:
            user = os.environ.get("HOME", "")
            base = f"{user}/.local/state" if user else ""
        chosen = f"{base}/ernie-deploy" if base else ""
    return chosen if chosen.startswith("/") else None

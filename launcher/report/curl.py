"""A recorded request as a command line that repeats it.

The line is pasted into a shell, and the model's name, the prompt and the address come from
elsewhere: every value is quoted for POSIX shells, and nothing that it holds can name a file to
curl (`--data-raw`, no globs). The key is neither in the line nor in the arguments of a process:
the shell's own `printf` writes the header, and curl reads it from its standard input. Where a
field of the body holds a key, too, `printf` writes the body as well, in the form of a config file.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Mapping

from launcher.json_values import JsonValue, is_list
from launcher.redact import is_secret_name
from launcher.report.escape import visible
from launcher.smoke.clients.transcript import ExchangeRecord

KEY_VARIABLE = "ERNIE_API_KEY"
HIDDEN = "***"
"""What stands where a secret stood in a transcript."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_URL = re.compile(r"https?://\S+")
_METHOD = re.compile(r"[A-Z]{1,20}")
_CUT = re.compile(r"\.\.\. \(\d+ more characters\)\Z")
_OF_THE_CONNECTION = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
)
"""Headers that curl sets itself; a compressed answer could not be read on a terminal."""


def curl(exchange: ExchangeRecord) -> str | None:
    """The line, or None where the transcript does not hold enough to repeat the request."""
    url, method, body = exchange.url, exchange.method, exchange.request
    if not (_URL.fullmatch(url) and visible(url) == url and _METHOD.fullmatch(method)):
        return None
    mark = uuid.uuid4().hex
    data = _data(_mark_keys(body, mark))
    if data is None:
        return None
    argv = ["curl", "--silent", "--show-error", "--globoff"]
    if exchange.events_total or (isinstance(body, Mapping) and body.get("stream") is True):
        argv.append("--no-buffer")
    if method != ("POST" if data else "GET"):
        argv += ["--head"] if method == "HEAD" else ["--request", method]
    secret: list[str] = []
    sent = {}
    for name, value in exchange.headers.items():
        text = str(value)
        if name.lower() in _OF_THE_CONNECTION or not _TOKEN.fullmatch(name):
            continue
        if visible(text) != text or "\n" in text:
            return None
        if HIDDEN in text:
            if text == HIDDEN and name.lower() == "authorization":
                text = f"Bearer {HIDDEN}"
            secret.append(f"{name}: {text}".replace("%", "%%").replace(HIDDEN, "%s"))
            continue
        sent[name.lower()] = f"{name}: {text}" if text else f"{name};"
    if data and "content-type" not in sent:
        sent["content-type"] = "Content-Type: application/json"
    for header in sent.values():
        argv += ["--header", header]
    if mark in data:
        return _with_config(argv, url, secret, data, mark)
    if secret:
        argv += ["--header", "@-"]
    if data:
        argv += ["--data-raw", data]
    line = shlex.join([*argv, "--url", url])
    if not secret:
        return line
    return _with_keys("".join(one.replace("\\", "\\\\") + "\\n" for one in secret), line)


def _with_config(argv: list[str], url: str, secret: list[str], data: str, mark: str) -> str:
    """The line for a request with keys in its body: curl reads headers and body as a config."""
    config = [("header", one) for one in secret]
    config.append(("data-raw", data.replace("%", "%%").replace(mark, "%s")))
    form = ""
    for option, value in config:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        form += f'{option} = "{quoted}"'.replace("\\", "\\\\") + "\\n"
    return _with_keys(form, shlex.join([*argv, "--config", "-", "--url", url]))


def _with_keys(form: str, line: str) -> str:
    keys = " ".join([f'"${KEY_VARIABLE}"'] * form.replace("%%", "").count("%s"))
    return f"printf {shlex.quote(form)} {keys} | {line}"


def _mark_keys(body: JsonValue, mark: str) -> JsonValue:
    """The body with `mark` where the transcript hides a key; the same text elsewhere stays."""
    if isinstance(body, Mapping):
        return {
            name: mark if value == HIDDEN and is_secret_name(name) else _mark_keys(value, mark)
            for name, value in body.items()
        }
    return [_mark_keys(one, mark) for one in body] if is_list(body) else body


def _data(body: JsonValue) -> str | None:
    """The body as an argument; empty where there is none, None where it is not known exactly."""
    if body is None:
        return ""
    if isinstance(body, str):
        # Bytes that were sent as they are: what cannot be shown cannot be pasted either.
        exact = visible(body) == body and "\ufffd" not in body and not _CUT.search(body)
        return body if exact else None
    # Within JSON, `\u001b` is the same character: `visible` changes its spelling, not its meaning.
    return visible(json.dumps(body, ensure_ascii=False))

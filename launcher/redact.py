"""Takes secrets out of what is shown: known values, what looks like one, and clients' requests.

FastDeploy writes its whole environment and its API keys into its logs; nothing of that is ever
printed by us.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator

MASK = "[redacted]"

_WORD_BEFORE = re.compile(r"[\w-]{1,64}\Z")

NO_SECRETS = ("", "0", "1", "true", "false", "True", "False")
"""Values of switches whose names end as a secret's, such as HF_HUB_DISABLE_IMPLICIT_TOKEN."""

_QUALIFIED_KEY = r"(?:api|access|secret|private)[_-]?key"
_ENDING = r"(?:secret|password|passwd|credential)s?"
_NAMES = rf"(?:{_QUALIFIED_KEY}s?|{_ENDING}|token(?!iz)s?|(?<=_)[as]k)(?:_id)?"
_CERTAIN = (
    # Authorization: Bearer abc
    re.compile(r"(?i)(\bbearer\s+)([^\s\"',;]{4,})"),
    # http://user:password@proxy
    re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)"),
    re.compile(r"\b()(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,})"),
)
"""What no other text looks like."""


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """What is masked; compiled when a log is shown, not when a profile is read."""
    return (
        *_CERTAIN,
        # "HF_TOKEN": "a b c"; a quoted value ends with its quote
        re.compile(rf"(?i)({_NAMES}[\"']?\s*[=:]\s*(?:[\[(]\s*)?\")([^\"]{{4,}})"),
        re.compile(rf"(?i)({_NAMES}[\"']?\s*[=:]\s*(?:[\[(]\s*)?')([^']{{4,}})"),
        # FD_API_KEY=abc
        re.compile(rf"(?i)({_NAMES}[\"']?\s*[=:]\s*(?:[\[(]\s*)?)([^\s\"',;\])}}]{{6,}})"),
        # --api-key abc, but not "the token limit"
        re.compile(rf"(?i)(--[\w-]{{0,40}}{_NAMES}[\"']?,?\s+[\"']?)([^\s\"',;\])}}]{{4,}})"),
    )


@functools.cache
def _request() -> re.Pattern[str]:
    """Records of FastDeploy's loggers that hold a client's request or the answer to it.

    They are in its private logs; by the source of 2.6 they can be on the console too, though the
    measured build (7198b588) does not print them there.
    """
    return re.compile(
        r"((?:[Rr]equest(?: dict)?|(?:Chat|Completion)(?: [Ss]treaming)? response"
        r"(?: last send| send_idx \d+)?)\s?[:=]\s?)(?=[{\[\"'])[^\n]{2,}"
    )


@functools.cache
def _hint() -> re.Pattern[str]:
    """Searched first: logs have millions of lines, and next to none of them holds a secret."""
    return re.compile(r"(?i)[_-]?key|token|secret|passw|credential|bearer|://|sk-|hf_|_[as]k\b")


@functools.cache
def _harmless() -> re.Pattern[str]:
    """Values that are none, whatever stands before them."""
    return re.compile(r"(?i)(none|null|true|false|[\d.]+|<.*|\(.*|tokens?|--.*|\[redac.*)")


def is_secret_name(name: str) -> bool:
    """True for the names of variables, fields and headers that hold a secret.

    `HF_TOKEN`, `BAIDU_AK`, `api-key`, `X-Api-Key`, `Cookie`; not `max_token` or `tokenizer`.
    """
    if re.search(r"(?i)(?:^|[_-])(?:max|min|logprobs?)[_-](?:\w{0,40}[_-])?token$", name):
        return False
    one_word = r"(?:^|[_.-])(?:key|ak|sk|authorization|cookie)"
    return re.search(rf"(?i)(?:{_QUALIFIED_KEY}|{_ENDING}|token|{one_word})$", name) is not None


def is_secret_flag(name: str) -> bool:
    """True for an engine's flags that take a secret; `--pad-token` and `--lora-key` do not."""
    qualified = r"(?:^|[_.-])(?:hf|auth|access|api|bearer)[_-]token|^token"
    return re.search(rf"(?i)(?:{_QUALIFIED_KEY}|{_ENDING}|{qualified})$", name) is not None


def holds_secret(text: str) -> bool:
    """True where `text` certainly holds one: a known kind of key, or a password in a URL."""
    return any(pattern.search(text) for pattern in _CERTAIN)


class Redactor:
    """Replaces secrets in text by `[redacted]`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these values; the longest are replaced first."""
        values: set[str] = set()
        for secret in secrets:
            # As it is, as JSON and Python quote it, and line by line, as logs are read.
            lines = (line.strip() for line in secret.splitlines() if len(line.strip()) >= 8)
            values |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], *lines}
        self._secrets = sorted((s for s in values if len(s) >= 4), key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without what is known or looks like a secret."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        if "equest" in text or "esponse" in text:
            text = _request().sub(rf"\1{MASK}", text)
        if _hint().search(text):
            for pattern in _patterns():
                text = pattern.sub(self._mask, text)
        return text

    def extents(self, text: str) -> Iterator[tuple[int, int]]:
        """Begin and end of each secret in `text`, with the name by which it is recognised.

        What clients asked is not among them: see `request_start`.
        """
        for secret in self._secrets:
            start = text.find(secret)
            while start >= 0:
                yield start, start + len(secret)
                start = text.find(secret, start + 1)
        if _hint().search(text):
            for pattern in _patterns():
                for match in pattern.finditer(text):
                    if not _harmless().fullmatch(match.group(2)):
                        # The pattern may know a name by its end: `AK` after `BAIDU_`.
                        name = _WORD_BEFORE.search(text, max(0, match.start() - 64), match.start())
                        yield name.start() if name else match.start(), match.end()

    @staticmethod
    def request_start(text: str) -> int | None:
        """Where a client's request, or the answer to it, begins; it is the rest of the line."""
        match = _request().search(text)
        return None if match is None else match.start()

    @staticmethod
    def _mask(match: re.Match[str]) -> str:
        value = match.group(2)
        if _harmless().fullmatch(value):
            return match.group(0)
        return match.group(1) + MASK

"""Takes secrets out of what is shown: known values, and what looks like one.

FastDeploy writes its whole environment and its API keys into its logs; nothing of that is ever
printed by us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[redacted]"

_PATTERNS = (
    # Authorization: Bearer abc
    re.compile(r"(?i)(\bbearer\s+)([^\s\"',;]{4,})"),
    # FD_API_KEY=abc, "HF_TOKEN": "abc", --api-key abc, api_key=['abc']
    re.compile(
        r"(?i)([\w-]*(?:api[_-]?keys?|token|secret|password|passwd|credential)s?"
        r"[\"']?\s*(?:=|:|\s)\s*[\[(]?\s*[\"']?)([^\s\"',;\])}]{6,})"
    ),
    re.compile(r"\b()(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,})"),
)
_HARMLESS = re.compile(r"(?i)^(none|null|true|false|\d+|<.*|\(.*|tokens?|per|usage)")


class Redactor:
    """Replaces secrets in text by `[redacted]`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these values; the longest are replaced first."""
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without what is known or looks like a secret."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for pattern in _PATTERNS:
            text = pattern.sub(self._mask, text)
        return text

    @staticmethod
    def _mask(match: re.Match[str]) -> str:
        value = match.group(2)
        if _HARMLESS.match(value) or value.startswith(MASK[:5]):
            return match.group(0)
        return match.group(1) + MASK

"""The log-probabilities of an answer, as far as they have the shape that OpenAI's have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.json_values import JsonObject, JsonValue, at, is_list
from launcher.smoke.outcome import could_not_check


def entries_of(logprobs: JsonValue) -> Sequence[JsonObject]:
    """The entries of a choice's logprobs.

    Raises:
        Stop: they have a shape of their own.
    """
    if logprobs is None:
        return []
    entries = at(logprobs, "content")
    if not is_list(entries):
        raise could_not_check(f"logprobs in a shape of their own: {str(logprobs)[:80]}")
    return [entry for entry in entries if isinstance(entry, Mapping)]

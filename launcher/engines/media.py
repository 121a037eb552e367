"""What a server of a vision model promises about pictures and videos."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.engines.base import Capability
from launcher.json_values import JsonValue

SEVERAL = 3
"""Pictures in one request that the smoke checks ask about."""


def media_capabilities(
    limits: Mapping[str, JsonValue] | None, default: int, *, video: bool = True
) -> frozenset[Capability]:
    """The promises of a vision model; `limits` are the most items of a kind in one request.

    `default` is the limit of a kind that `limits` does not name, `video` whether the model takes
    videos.
    """
    most = {kind: _limit(limits, kind, default) for kind in ("image", "video")}
    promised = set()
    if most["image"] >= 1:
        promised.add("vision")
    if most["image"] >= SEVERAL:
        promised.add("vision-several")
    if video and most["video"] >= 1:
        promised.add("video")
    return frozenset(promised)


def _limit(limits: Mapping[str, JsonValue] | None, kind: str, default: int) -> int:
    value = (limits or {}).get(kind, default)
    if isinstance(value, Mapping):
        # vLLM takes an object with a count and the sizes to plan for.
        value = value.get("count", default)
    return value if isinstance(value, int) else default

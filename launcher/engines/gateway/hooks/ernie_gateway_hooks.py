"""A stream's tool input that begins with a blank, as Anthropic's clients can read it.

FastDeploy streams the arguments of a call from the character after the colon on, so the first
piece is mostly a blank, and LiteLLM passes it on. The stream helpers of Anthropic's official
clients parse what they have after each piece, and refuse a blank alone. LiteLLM imports this module
by the name in its configuration; it runs in the gateway's environment and imports nothing of
launcher.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

MARK = b'"input_json_delta"'
DATA = b"data:"
END = b"\n\n"


class LeadingBlanks:
    """Drops the pieces of a tool's input that come before its first character; for one stream."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self._begun: set[int] = set()

    def without(self, chunk: Any) -> Any:
        """The chunk as it is sent on; None where nothing of it is left.

        Whatever is not an event of a stream is passed on as it is.
        """
        if isinstance(chunk, str):
            kept = self.without(chunk.encode())
            return None if kept is None else kept.decode()
        if not isinstance(chunk, bytes) or MARK not in chunk:
            return chunk
        events = chunk.split(END)
        kept = END.join(event for event in events if not self._is_blank(event))
        return kept if kept.strip() else None

    def _is_blank(self, event: bytes) -> bool:
        """True for a piece of blanks before the first character of its input."""
        if MARK not in event:
            return False
        data = next((line for line in event.splitlines() if line.startswith(DATA)), DATA)
        try:
            value = json.loads(data.removeprefix(DATA))
            index, piece = int(value["index"]), str(value["delta"]["partial_json"])
        except (ValueError, KeyError, TypeError):
            return False
        if index in self._begun or piece.strip() or not piece:
            self._begun.add(index)
            return False
        return True


async def without_leading_blanks(stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The stream without such pieces."""
    blanks = LeadingBlanks()
    async for chunk in stream:
        kept = blanks.without(chunk)
        if kept is not None:
            yield kept


def __getattr__(name: str) -> Any:
    """`hooks`, which `litellm_settings.callbacks` names: what LiteLLM calls for every stream.

    Made when it is asked for: only the gateway's environment has LiteLLM.
    """
    if name != "hooks":
        raise AttributeError(name)
    from litellm.integrations.custom_logger import CustomLogger

    class Hooks(CustomLogger):  # type: ignore[misc]
        async def async_post_call_streaming_iterator_hook(
            self, user_api_key_dict: Any, response: AsyncIterator[Any], request_data: Any
        ) -> AsyncIterator[Any]:
            async for chunk in without_leading_blanks(response):
                yield chunk

    return Hooks()

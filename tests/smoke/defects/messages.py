"""Anthropic's dialect."""

from __future__ import annotations

from tests.smoke.defects.planting import (
    defect,
    path_answers,
)

MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "tiny-ernie",
    "content": [{"type": "text", "text": "Hello!"}],
    "stop_reason": "end_turn",
}

defect(
    "messages-without-usage", "messages", route=path_answers("/v1/messages", 200, MESSAGE, "POST")
)
defect(
    "count-tokens-differs",
    "count-tokens",
    route=path_answers("/v1/messages/count_tokens", 200, {"input_tokens": 1}, "POST"),
)

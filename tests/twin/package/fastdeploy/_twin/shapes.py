"""Answers in FastDeploy's own fields, whole and streamed."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastdeploy._twin.faults import fault
from fastdeploy._twin.parsers import Piece, Reader
from fastdeploy._twin.tokens import Tokens


@dataclass
class Play:
    """One choice: its tokens as they come, and what is known beforehand."""

    index: int
    tokens: Iterator[int]
    reason: str
    prompt_tokens: int
    reasoning: str | None
    tools: str | None
    token_count: int = 0
    thought: int = 0


class Shape:
    """Builds the JSON of one request."""

    def __init__(
        self, identity: str, model: str, chat: bool, body: dict[str, Any], tokens: Tokens
    ) -> None:
        self.identity, self.model, self.chat, self.body = identity, model, chat, body
        self.tokens = tokens
        self.created = int(time.time())
        self.begun = time.monotonic()

    # Whole -----------------------------------------------------------------------------------

    def document(self, plays: list[Play]) -> dict[str, Any]:
        choices = [self._choice(play) for play in plays]
        answer = {
            "id": self.identity,
            "object": "chat.completion" if self.chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": self._usage(plays, streamed=False),
        }
        if fault("answer-no-usage"):
            del answer["usage"]
        return answer

    def _choice(self, play: Play) -> dict[str, Any]:
        texts = {"reasoning": "", "content": ""}
        calls: list[dict[str, Any]] = []
        numbers: list[int] = []
        for number, pieces in self._pieces(play):
            numbers.append(number)
            for piece in pieces:
                if piece.kind == "call":
                    calls.append(_call(piece.text, ""))
                elif piece.kind == "arguments":
                    calls[piece.call]["function"]["arguments"] += piece.text
                else:
                    texts[piece.kind] += piece.text
        message: dict[str, Any] = {
            "role": "assistant",
            "content": texts["content"],
            "multimodal_content": None,
            "reasoning_content": texts["reasoning"] if play.reasoning else None,
            "tool_calls": calls or None,
            "prompt_token_ids": None,
            "completion_token_ids": numbers if self.body.get("return_token_ids") else None,
            "prompt_tokens": None,
            "completion_tokens": None,
            "audio_content": None,
        }
        choice: dict[str, Any] = {"index": play.index}
        if self.chat:
            choice["message"] = message
        else:
            choice["text"] = texts["content"]
            choice["reasoning_content"] = message["reasoning_content"]
            choice["tool_calls"] = calls or None
        choice["logprobs"] = self._logprobs(numbers)
        choice["finish_reason"] = play.reason
        return choice

    def _pieces(self, play: Play) -> Iterator[tuple[int, list[Piece]]]:
        reader = Reader(self.tokens, play.reasoning, play.tools)
        for number in play.tokens:
            play.token_count += 1
            if reader.state == "think":
                play.thought += 1
            yield number, list(reader.feed(number))

    def _usage(self, plays: list[Play], *, streamed: bool) -> dict[str, Any]:
        """The stream counts thinking wrongly: 27 where the whole answer says 14."""
        prompt = sum(play.prompt_tokens for play in plays if play.index == 0 or not self.chat)
        completion_tokens = sum(play.token_count for play in plays)
        thought = sum(play.thought for play in plays)
        details: dict[str, object] = {"cached_tokens": 0}
        if not streamed:
            details |= {"image_tokens": 0, "video_tokens": 0}
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion_tokens + (7 if fault("answer-bad-usage") else 0),
            "completion_tokens": completion_tokens,
            "prompt_tokens_details": details,
            "completion_tokens_details": {
                "reasoning_tokens": max(0, 2 * thought - 1) if streamed else thought,
                "image_tokens": 0,
            },
        }

    def _logprobs(self, numbers: list[int]) -> dict[str, Any] | None:
        if not self.body.get("logprobs"):
            return None
        top = int(self.body.get("top_logprobs") or 0)
        entries = []
        for number in numbers:
            text = self.tokens.piece(number)
            entry = {"token": text, "logprob": math.log(0.9), "bytes": list(text.encode())}
            alternatives = [
                {"token": f"{text}{rank}", "logprob": math.log(0.05 / rank), "bytes": []}
                for rank in range(1, top)
            ]
            entries.append({**entry, "top_logprobs": [entry, *alternatives] if top else []})
        return {"content": entries, "refusal": None}

    # Streamed --------------------------------------------------------------------------------

    def stream(self, plays: list[Play]) -> Iterator[str]:
        cut = fault("answer-cut")
        for play in plays:
            if self.chat:
                yield self._event([{**self._first(play.index)}])
            called = False
            for number, pieces in self._pieces(play):
                for piece in pieces:
                    called = called or piece.kind == "call"
                    yield self._event([self._part(play.index, piece, number)])
                if cut and play.token_count >= 3:
                    return
            yield self._event([self._last(play)])
        if (self.body.get("stream_options") or {}).get("include_usage"):
            usage = None if fault("answer-no-usage") else self._usage(plays, streamed=True)
            yield self._event([], usage=usage)
        if not fault("answer-no-done"):
            yield "data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, object]], **more: object) -> str:
        chunk = {
            "id": self.identity,
            "object": "chat.completion.chunk" if self.chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }
        return f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n"

    @staticmethod
    def _first(index: int) -> dict[str, Any]:
        delta = {
            "role": "assistant",
            "content": "",
            "prompt_token_ids": None,
            "completion_token_ids": None,
            "reasoning_content": "",
            "tool_calls": None,
        }
        return {"index": index, "delta": delta, "prompt_logprobs": None}

    def _part(self, index: int, piece: Piece, number: int) -> dict[str, Any]:
        """finish_reason is absent, not null; both texts are always there."""
        content = piece.text if piece.kind == "content" else ""
        thinking = piece.text if piece.kind == "reasoning" else ""
        calls: list[dict[str, object]] | None = None
        if piece.kind == "call":
            call = _call(piece.text, None)
            calls = [{**call, "index": piece.call}]
        elif piece.kind == "arguments":
            calls = [{"index": piece.call, "function": {"arguments": piece.text}}]
        return self._delta(index, content, thinking, calls, number)

    def _delta(
        self,
        index: int,
        content: str,
        thinking: str,
        calls: list[dict[str, object]] | None,
        number: int | None,
    ) -> dict[str, Any]:
        arrival = round(time.monotonic() - self.begun, 3)
        logprobs = self._logprobs([number]) if number is not None else None
        if not self.chat:
            return {
                "index": index,
                "text": content,
                "reasoning_content": thinking,
                "tool_calls": calls,
                "logprobs": logprobs,
                "arrival_time": arrival,
            }
        delta = {
            "content": content,
            "prompt_token_ids": None,
            "completion_token_ids": None,
            "reasoning_content": thinking,
            "tool_calls": calls,
        }
        return {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "draft_logprobs": None,
            "arrival_time": arrival,
            "speculate_metrics": None,
        }

    def _last(self, play: Play) -> dict[str, Any]:
        choice = self._delta(play.index, "", "", None, None)
        choice["finish_reason"] = play.reason
        return choice


def _call(name: str, arguments: str | None) -> dict[str, Any]:
    function = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    return {"id": f"chatcmpl-tool-{uuid.uuid4().hex}", "type": "function", "function": function}

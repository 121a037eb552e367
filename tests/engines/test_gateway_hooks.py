"""Pieces of blanks at the beginning of a tool's input, and streams that have none."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from launcher.engines.gateway.hooks import ernie_gateway_hooks
from launcher.engines.gateway.hooks.ernie_gateway_hooks import without_leading_blanks


def piece(text: str, index: int = 1) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": text}
    data = {"type": "content_block_delta", "index": index, "delta": delta}
    return f"event: content_block_delta\ndata: {json.dumps(data)}\n\n".encode()


TEXT = b'event: content_block_delta\ndata: {"index": 0, "delta": {"text": " "}}\n\n'


def sent(*chunks: Any) -> list[Any]:
    """What goes on of a stream of these chunks."""

    async def stream() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[Any]:
        return [chunk async for chunk in without_leading_blanks(stream())]

    return asyncio.run(collect())


def test_blanks_at_the_beginning_are_dropped() -> None:
    complete = [piece("{"), piece(" "), piece('"a": 1}')]
    assert sent(piece(" "), piece("\n"), *complete) == complete


def test_each_call_has_its_own_beginning() -> None:
    chunks = [piece("{}", 1), piece("{", 2), piece(" ", 2), piece("}", 2)]
    assert sent(chunks[0], piece(" ", 2), *chunks[1:]) == chunks


def test_two_events_in_one_chunk() -> None:
    assert sent(piece(" ") + piece("{}")) == [piece("{}")]
    assert sent((piece(" ") + piece("{}")).decode()) == [piece("{}").decode()]


def test_everything_else_is_passed_on() -> None:
    strange: list[Any] = [
        TEXT, b"", b"data: [DONE]\n\n", {"a": 1}, "text", piece(""),
        b'data: {"index": 1, "type": "input_json_delta"\n\n', b'"input_json_delta"',
    ]  # fmt: skip
    assert sent(*strange) == strange


def test_streams_do_not_know_of_each_other() -> None:
    assert sent(piece("{}")) == [piece("{}")]
    assert sent(piece(" "), piece("{}")) == [piece("{}")]


def test_litellm_is_imported_where_it_is_installed_only() -> None:
    with pytest.raises(AttributeError):
        ernie_gateway_hooks.other  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match="litellm"):
        ernie_gateway_hooks.hooks  # noqa: B018

"""Pieces of blanks at the beginning of a tool's input, and streams that have none."""

import asyncio
import importlib.util
import json
import sys
import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from launcher.engines.gateway.engine import HOOKS_FOLDER
from launcher.engines.gateway.hooks import __name__ as package


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as LiteLLM imports it; here LiteLLM is not installed."""
    stub = types.ModuleType("litellm.integrations.custom_logger")
    stub.CustomLogger = object  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    path = HOOKS_FOLDER / "ernie_gateway_hooks.py"
    spec = importlib.util.spec_from_file_location(f"{package}.loaded", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def piece(text: str, index: int = 1) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": text}
    data = {"type": "content_block_delta", "index": index, "delta": delta}
    return f"event: content_block_delta\ndata: {json.dumps(data)}\n\n".encode()


TEXT = b'event: content_block_delta\ndata: {"index": 0, "delta": {"text": " "}}\n\n'


def sent(module: Any, *chunks: Any) -> list[Any]:
    """What goes on of a stream of these chunks."""

    async def stream() -> AsyncIterator[Any]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[Any]:
        hook = module.hooks.async_post_call_streaming_iterator_hook
        return [chunk async for chunk in hook(None, stream(), {})]

    return asyncio.run(collect())


def test_blanks_at_the_beginning_are_dropped(module: Any) -> None:
    whole = [piece("{"), piece(" "), piece('"a": 1}')]
    assert sent(module, piece(" "), piece("\n"), *whole) == whole


def test_each_call_has_its_own_beginning(module: Any) -> None:
    chunks = [piece("{}", 1), piece("{", 2), piece(" ", 2), piece("}", 2)]
    assert sent(module, chunks[0], piece(" ", 2), *chunks[1:]) == chunks


def test_two_events_in_one_chunk(module: Any) -> None:
    assert sent(module, piece(" ") + piece("{}")) == [piece("{}")]
    assert sent(module, (piece(" ") + piece("{}")).decode()) == [piece("{}").decode()]


def test_everything_else_is_passed_on(module: Any) -> None:
    strange: list[Any] = [
        TEXT, b"", b"data: [DONE]\n\n", {"a": 1}, "text", piece(""),
        b'data: {"index": 1, "type": "input_json_delta"\n\n', b'"input_json_delta"',
    ]  # fmt: skip
    assert sent(module, *strange) == strange


def test_streams_do_not_know_of_each_other(module: Any) -> None:
    assert sent(module, piece("{}")) == [piece("{}")]
    assert sent(module, piece(" "), piece("{}")) == [piece("{}")]

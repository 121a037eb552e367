"""What counts as generated text."""

from __future__ import annotations

import json

import pytest

from launcher.probe.readiness import generated


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "Hi"}}]}, "Hi"),
        ({"choices": [{"message": {"content": "", "reasoning_content": "hm"}}]}, "hm"),
        ({"choices": [{"message": {"content": None, "reasoning": "hm"}}]}, "hm"),
        ({"choices": [{"text": "plain"}]}, "plain"),
        ({"choices": []}, ""),
        ({"choices": [{"message": "odd"}]}, ""),
        (["odd"], ""),
    ],
)
def test_an_answer(body: object, text: str) -> None:
    assert generated(json.dumps(body).encode()) == text


def test_a_stream_that_nobody_asked_for() -> None:
    """transformers serve before 5.0 streams whatever the request says."""
    lines = [{"choices": [{"delta": {"content": piece}}]} for piece in ("", "He", "llo")]
    body = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
    assert generated(body.encode()) == "Hello"


def test_no_json_is_no_text() -> None:
    assert generated(b"<html>") == ""

"""Whole answers whose bodies are broken or mean: as a body, as an event, as an error."""

from __future__ import annotations

import json

from tests.support.hostile.visit import BEHAVIOURS, EVENTS, JSON


def answer(content: str = "Hello!") -> bytes:
    """An honest body of the chat route."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], "data": []}).encode()


def _bodies() -> dict[str, bytes]:
    deep_calls = b'{"data": [], "choices": [{"message": {"content": %s}}]}'
    return {
        "deep arrays": b"[" * 100_000,
        "deep arrays that end": b"[" * 100_000 + b"]" * 100_000,
        "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "depth below Python's limit": b'{"data":' + b"[" * 600 + b"]" * 600 + b"}",
        "deep content": deep_calls % (b"[" * 700 + b"]" * 700),
        "an integer of many digits": b'{"data": %s, "choices": 1}' % (b"9" * 100_000),
        "infinite numbers": b'{"data": [1e999, -1e999], "usage": {"prompt_tokens": 1e999}}',
        "NaN": b'{"data": NaN, "choices": Infinity}',
        "a key twice": b'{"choices": [], "data": [], "choices": [{}]}',
        "lone surrogates": answer("half \ud83d of a pair").replace(b'"m"', b'"m\\ud83d"'),
        "surrogates as a model": b'{"data": [{"id": "\\ud800\\u001b[2J`|<b>"}]}',
        "escape sequences": answer("\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m"),
        "invalid UTF-8": b'{"id": "\xff\xfe\x80", "data": [], "choices": []}',
        "UTF-16": '{"data": []}'.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + answer(),
        "NUL bytes": b"\x00" * 10_000,
        "nothing": b"",
        "HTML": b"<html><head><title>502 Bad Gateway</title></head></html>",
        "a bare number": b"7",
        "null": b"null",
        "a list": b"[1, 2]",
        "wrong types": b'{"choices": {"0": 1}, "data": 7, "usage": [], "id": {}, "error": [[]]}',
        "wrong types within": b'{"choices": [7, null, {"message": 5, "index": "a"}], "data": [8]}',
        "types that cannot be hashed": b'{"choices": [{"finish_reason": [], "message": {"role": '
        b'{}, "content": [1], "tool_calls": [{"function": {"name": [], "arguments": {}}}]}}], '
        b'"model": [], "data": [{"id": {"a": []}}], "usage": {"prompt_tokens": true}}',
        "null everywhere": b'{"id": null, "model": null, "choices": [{"index": null, '
        b'"message": {"role": null, "content": null, "tool_calls": null}, "finish_reason": null, '
        b'"logprobs": null}], "usage": null, "data": null, "error": null, "content": null}',
        "numbers as text": b'{"id": 7, "created": "now", "choices": [{"index": "0", "message": '
        b'{"role": "assistant", "content": 7}, "finish_reason": 0}], "usage": {"prompt_tokens": '
        b'"9", "completion_tokens": "1e5", "total_tokens": "x"}, "data": [{"id": 7}]}',
        "counts beyond a float": b'{"choices": [{"message": {"content": "a"}}], "created": 1%s, '
        b'"usage": {"prompt_tokens": 1%s, "completion_tokens": 1%s}, "data": [{"id": "m", '
        b'"created": 1%s, "max_model_len": 1%s}], "content": [{"type": "text", "text": "a"}]}'
        % ((b"0" * 390,) * 5),
        "a million of everything": b'{"choices": [%s{}], "data": [%s{}], "content": [%s{}]}'
        % ((b"{}," * 300_000,) * 3),
        "long texts": b'{"id": "%s", "model": "%s", "choices": [{"message": {"content": "%s"}}], '
        b'"data": [{"id": "%s"}], "error": {"message": "%s"}}' % ((b"a" * 700_000,) * 5),
        "an error of errors": b'{"error": {"message": {"message": [{"error": null}]}, "code": [], '
        b'"type": {}}, "message": [], "detail": [{"msg": 5, "loc": 7}, null]}',
        "an Anthropic answer of odd types": b'{"type": "message", "content": [null, 7, '
        b'{"type": []}, {"type": "text", "text": {}}, {"type": "tool_use", "input": '
        b'[[]], "name": 7, "id": []}, {"type": "thinking"}], '
        b'"stop_reason": {}, "usage": {"input_tokens": [], "a": {}}}',
        "huge counts": b'{"choices": [], "usage": {"prompt_tokens": 1%s, "completion_tokens": '
        b'-5, "total_tokens": 0}, "data": [{"id": "m", "max_model_len": 1%s}]}'
        % (b"0" * 300, b"0" * 300),
    }


BODIES = _bodies()


def _add_behaviours(name: str, body: bytes) -> None:
    BEHAVIOURS[f"body: {name}"] = lambda visit: visit.send_response(body, JSON)
    BEHAVIOURS[f"event: {name}"] = lambda visit: visit.send_response(
        b"data: " + body + b"\n\ndata: [DONE]\n\n", EVENTS
    )
    BEHAVIOURS[f"error: {name}"] = lambda visit: visit.send_response(
        body, JSON, status=b"HTTP/1.1 500 \x1b[2J\r\n"
    )


for _name, _body in BODIES.items():
    _add_behaviours(_name, _body)

"""Event streams that are broken, mean, or written in a rare way."""

from __future__ import annotations

import json

from tests.support.hostile.visit import EVENTS, OK, Visit, behaviour

CLOSE = b"Connection: close\r\n\r\n"


def chunk(content: str = "Hello!", **changes: object) -> bytes:
    """A chunk of the chat route."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], **changes}).encode()


LAST = json.dumps(
    {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
).encode()

HONEST = {
    "events with CR only": b"data: %s\r\rdata: %s\r\rdata: [DONE]\r\r",
    "events with CR LF": b"data: %s\r\n\r\ndata: %s\r\n\r\ndata: [DONE]\r\n\r\n",
    "events with mixed line ends": b"data: %s\r\n\ndata: %s\n\r\ndata: [DONE]\r\r\n",
    "events with a byte order mark": b"\xef\xbb\xbfdata: %s\n\ndata: %s\n\ndata: [DONE]\n\n",
    "events without a space": b"data:%s\n\ndata:%s\n\ndata:[DONE]\n\n",
    "events with comments and ids": b": a\nid: 7\nretry: 10\ndata: %s\n\n:\n\ndata: %s\n\n"
    b"data: [DONE]\n\n",
}
"""What the standard allows, to be filled with two chunks."""
for _name, _form in HONEST.items():

    @behaviour(_name)
    def _(visit: Visit, form: bytes = _form) -> None:
        visit.send(OK, EVENTS, CLOSE, form % (chunk(), LAST))


ODD_IDS: tuple[object, ...] = ("1", None, 7, "2", [], {})

STREAMS = {
    "an event without its end": b"data: " + chunk(),
    "an event without a line end": b"data: " + chunk() + b"\n\ndata: [DONE]",
    "events of empty data": b"data:\n\ndata\n\ndata: \n\n" * 50,
    "an event that is an error": b'event: error\ndata: {"error": {"message": "no"}}\n\n',
    "an event whose error is a list": b'data: {"error": [1, {"a": null}]}\n\n',
    "events with a NUL": b"da\0ta: {}\n\nid: \0\ndata: \0\n\ndata: [DONE]\n\n",
    "a retry of many digits": b"retry: %s\ndata: {}\n\n" % (b"9" * 5000),
    "events of another name": b"event: %s\ndata: {}\n\n" % (b"x" * 60_000),
    "an event in many lines": b"data: {\ndata: }\n\ndata: [DONE]\n\n",
    "ids that change": b"".join(
        b"data: %s\n\n" % chunk(id=name, model=name, created=number)
        for number, name in enumerate(ODD_IDS)
    )
    + b"data: [DONE]\n\n",
    "indexes out of any range": b"".join(
        b"data: %s\n\n" % chunk(choices=[{"index": index, "delta": {"tool_calls": [call]}}])
        for index in (0, -1, 10**9, 10**30, "0", None, 1.5, True)
        for call in ({"index": index, "function": {"name": index, "arguments": index}}, index)
    )
    + b"data: [DONE]\n\n",
    "a million bytes of tool arguments": b"".join(
        b"data: %s\n\n"
        % chunk(
            choices=[
                {
                    "index": 0,
                    "delta": {
                        "tool_calls": [
                            {
                                "index": i % 50,
                                "id": str(i),
                                "function": {"name": "f", "arguments": "[" * 500},
                            }
                        ]
                    },
                }
            ]
        )
        for i in range(2000)
    )
    + b"data: [DONE]\n\n",
    "every field null": b'data: {"id": null, "model": null, "object": null, "created": null, '
    b'"choices": [{"index": null, "delta": null, "message": null, "finish_reason": null, '
    b'"logprobs": null}], "usage": null, "error": null}\n\n'
    b'data: {"choices": null}\n\ndata: {"choices": [null]}\n\n'
    b'data: {"choices": [{"delta": {"content": null, "role": null, "tool_calls": [null]}}]}\n\n'
    b'data: {"type": null, "message": null, "delta": null, "index": null}\n\ndata: [DONE]\n\n',
    "events after the end": b"data: [DONE]\n\n" * 100 + b"data: %s\n\n" % chunk(),
    "numbers as text": b"data: %s\n\n"
    % chunk(
        created="yesterday",
        usage={"prompt_tokens": "7", "completion_tokens": "many", "total_tokens": "-1"},
    )
    + b"data: [DONE]\n\n",
    "Messages events out of order": b"".join(
        b"event: %s\ndata: %s\n\n" % (json.loads(text)["type"].encode(), text)
        for text in (
            b'{"type": "message_stop"}',
            b'{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta"}}',
            b'{"type": "content_block_delta", "index": null, "delta": 5}',
            b'{"type": "content_block_start", "index": -1, "content_block": null}',
            b'{"type": "message_delta", "delta": {"stop_reason": []}, "usage": {"a": []}}',
            b'{"type": "message_start", "message": [1]}',
            b'{"type": "content_block_stop"}',
        )
    ),
}
for _name, _data in STREAMS.items():

    @behaviour(_name)
    def _(visit: Visit, data: bytes = _data) -> None:
        visit.send(OK, EVENTS, CLOSE, data)

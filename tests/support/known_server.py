"""An OpenAI-compatible server whose delays are set and recorded by itself, to measure measurers.

It streams `--tokens` tokens: the first `--first` seconds after the request was read, each next one
`--gap` seconds after its predecessor's planned moment, written one by one or as `--mode` says:

    plain      one token in a chunk
    several    three tokens in a chunk, written when the last of them is there
    reasoning  the first half as `reasoning_content`, the rest as `content`
    buffered   as the parser `ernie-x1` makes them: reasoning token by token, then nothing while
               the parser looks for an end mark, then eight tokens in a chunk

A token is a word of the tiny ERNIE's tokenizer with exactly one token, so that every counter
that uses the right tokenizer can be exact; `usage` states the truth where a client asks for it.
What was really written is recorded, a JSON object a line, after each request: when the request
was read, and for each chunk the moment (seconds, CLOCK_MONOTONIC), kind and number of tokens.

    python -m tests.support.known_server --port 0 --record FILE [...]

prints `listening on PORT` when it is ready. It needs the standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

MODES = ("plain", "several", "reasoning", "buffered")
MODEL = "known"
WORD = " the"


@dataclass(frozen=True)
class Behaviour:
    """The delays (seconds) and the shape of every answer. `fail_every` answers each n-th with 500.

    `seats` is how many requests are served at a time; the others wait, as they do in an engine.
    """

    mode: str = "plain"
    first: float = 0.05
    gap: float = 0.01
    tokens: int = 32
    fail_every: int = 0
    seats: int = 0
    word: str = WORD


@dataclass(frozen=True)
class Chunk:
    """What is written in one piece: when (seconds after the request), of which kind, how much."""

    after: float
    kind: str
    tokens: int


def chunks(behaviour: Behaviour, tokens: int) -> list[Chunk]:
    """The pieces of an answer of `tokens` tokens."""
    at = [behaviour.first + behaviour.gap * i for i in range(tokens)]
    thought = tokens // 2 if behaviour.mode in ("reasoning", "buffered") else 0
    pieces = [Chunk(at[i], "reasoning_content", 1) for i in range(thought)]
    size = {"several": 3, "buffered": 8}.get(behaviour.mode, 1)
    for begin in range(thought, tokens, size):
        end = min(begin + size, tokens)
        pieces.append(Chunk(at[end - 1], "content", end - begin))
    return pieces


def _event(behaviour: Behaviour, delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {
        "id": "known-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [choice],
    }  # fmt: skip
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _usage(prompt: int, tokens: int) -> bytes:
    usage = {
        "prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens,
    }  # fmt: skip
    body = {
        "id": "known-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [], "usage": usage,
    }  # fmt: skip
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(status: str, body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


@dataclass
class State:
    """Everything that the connections share, and what `/metrics` tells."""

    behaviour: Behaviour
    record: TextIO
    served: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    running: int = 0
    waiting: int = 0
    first_sum: float = 0.0
    seats: asyncio.Semaphore | None = None
    bodies: list[int] = field(default_factory=list)

    def metrics(self) -> bytes:
        """The counters, named as vLLM names them."""
        lines = [
            f"vllm:num_requests_running {self.running}",
            f"vllm:num_requests_waiting {self.waiting}",
            f"vllm:kv_cache_usage_perc {min(1.0, self.running / 100)}",
            f"vllm:prompt_tokens_total {self.prompt_tokens}",
            f"vllm:generation_tokens_total {self.tokens}",
            f"vllm:request_success_total {self.served}",
            f"vllm:time_to_first_token_seconds_sum {self.first_sum}",
            f"vllm:time_to_first_token_seconds_count {self.served}",
        ]
        return "\n".join([*lines, ""]).encode()


async def _answer(
    state: State, writer: asyncio.StreamWriter, body: dict[str, object], read: float
) -> None:
    behaviour = state.behaviour
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or behaviour.tokens
    tokens = min(behaviour.tokens, int(str(limit)))
    prompt = len(json.dumps(body.get("messages", body.get("prompt", "")))) // 4
    if not body.get("stream"):
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
        message = {"role": "assistant", "content": behaviour.word * tokens}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        writer.write(_whole("200 OK", {"model": MODEL, "choices": [choice], "usage": usage}))
        return
    loop = asyncio.get_running_loop()
    begin = loop.time()
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    written: list[tuple[float, str, int]] = []
    first = True
    for piece in chunks(behaviour, tokens):
        wait = begin + piece.after - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        text = behaviour.word * piece.tokens
        data = _framed(_event(behaviour, {piece.kind: text}))
        writer.write(head + data if first else data)
        moment = time.monotonic()
        if first:
            state.first_sum += moment - read
        first = False
        written.append((moment, piece.kind, piece.tokens))
        if writer.transport.is_closing():
            break
    options = body.get("stream_options")
    last = _event(behaviour, {}, "stop")
    if isinstance(options, dict) and options.get("include_usage"):
        last += _usage(prompt, tokens)
    writer.write(_framed(last + b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()
    state.served += 1
    state.tokens += tokens
    state.prompt_tokens += prompt
    line = {"read": read, "prompt": prompt, "tokens": tokens, "chunks": written}
    state.record.write(json.dumps(line) + "\n")


async def _serve(state: State, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    count = 0
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            data = await reader.readexactly(length)
            read = time.monotonic()
            if path == "/metrics":
                writer.write(_whole("200 OK", state.metrics()))
            elif path == "/v1/models":
                writer.write(_whole("200 OK", {"object": "list", "data": [{"id": MODEL}]}))
            elif path == "/health":
                writer.write(_whole("200 OK", {}))
            elif path in ("/v1/chat/completions", "/v1/completions"):
                count += 1
                every = state.behaviour.fail_every
                if every and count % every == 0:
                    writer.write(_whole("500 Internal Server Error", {"error": "planted"}))
                    continue
                body = json.loads(data)
                state.waiting += 1
                if state.seats is not None:
                    await state.seats.acquire()
                state.waiting -= 1
                state.running += 1
                try:
                    await _answer(state, writer, body, read)
                finally:
                    state.running -= 1
                    if state.seats is not None:
                        state.seats.release()
            else:
                writer.write(_whole("404 Not Found", {"error": path}))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main(port: int, state: State) -> None:
    if state.behaviour.seats:
        state.seats = asyncio.Semaphore(state.behaviour.seats)
    server = await asyncio.start_server(
        lambda r, w: _serve(state, r, w), "127.0.0.1", port, backlog=4096
    )
    sys.stdout.write(f"listening on {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextlib.contextmanager
def serving(record: Path, *options: str) -> Iterator[str]:
    """A known server as a process of its own; its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.known_server", "--record", str(record), *options],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().split()[-1]}/v1"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--mode", choices=MODES, default="plain")
    parser.add_argument("--first", type=float, default=0.05)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--seats", type=int, default=0)
    arguments = vars(parser.parse_args())
    port, record = arguments.pop("port"), arguments.pop("record")
    with record.open("a", buffering=1) as file:
        asyncio.run(_main(port, State(Behaviour(**arguments), file)))


if __name__ == "__main__":
    main()

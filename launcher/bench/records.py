"""Reads what the load generator recorded of every request: aiperf's `profile_export_raw.jsonl`.

Times come from the generator's own clock, CLOCK_MONOTONIC (`time.perf_counter_ns` on Linux), which
is that of this process too: a record can be laid beside a sample of the machine. Only the moment at
which a request was due is wall-clock time; it is moved by the request's own two readings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import PreconditionError, Problem

FILE = "profile_export_raw.jsonl"
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one record: an answer of 32,000 tokens, each in a chunk of its own, has 8 MiB."""
NANO = 1e9
ANSWER = ("content", "tool_calls")
"""Keys of a delta that are the answer; `tool_calls` is one, too, for an agent waits for it."""
REASONING = ("reasoning_content", "reasoning")


@dataclass(frozen=True)
class Record:
    """One request. Times are CLOCK_MONOTONIC seconds.

    `due` is when the generator decided to send it. `chunks` are the moments of all chunks that
    carry reasoning or an answer (two that one read brought have the same: a gap of 0, as the client
    saw it), `answer` is the first with an answer. Token counts are the server's `usage`, None where
    it sent none. `error` is None for a success; `is_cut` says that the generator cancelled the
    request at the end of the level.
    """

    due: float
    begin: float
    end: float
    chunks: tuple[float, ...]
    answer: float | None
    input_tokens: int | None
    output_tokens: int | None
    error: str | None = None
    is_cut: bool = False
    is_warm_up: bool = False

    @property
    def is_success(self) -> bool:
        """True for an answer that came to its end."""
        return self.error is None and not self.is_cut

    @property
    def ttft(self) -> float | None:
        """Seconds from sending to the first chunk with a token."""
        return self.chunks[0] - self.begin if self.chunks else None

    @property
    def ttfa(self) -> float | None:
        """Seconds from sending to the first chunk of the answer, after any reasoning."""
        return None if self.answer is None else self.answer - self.begin

    @property
    def e2e(self) -> float | None:
        """Seconds from sending to the last chunk with a token."""
        return self.chunks[-1] - self.begin if self.chunks else None

    @property
    def gaps(self) -> tuple[float, ...]:
        """Seconds between one chunk with tokens and the next."""
        return tuple(b - a for a, b in zip(self.chunks, self.chunks[1:], strict=False))

    @property
    def tpot(self) -> float | None:
        """Seconds per output token after the first."""
        if not self.output_tokens or self.output_tokens < 2 or len(self.chunks) < 2:
            return None
        return (self.chunks[-1] - self.chunks[0]) / (self.output_tokens - 1)

    @property
    def user_rate(self) -> float | None:
        """Output tokens per second that this request's user saw, the wait included."""
        e2e = self.e2e
        return self.output_tokens / e2e if self.output_tokens and e2e else None

    @property
    def queue(self) -> float:
        """Seconds that the request waited in the generator: due, and not sent yet."""
        return max(0.0, self.begin - self.due)


def read_records(folder: Path) -> list[Record]:
    """The records in a generator's folder of artifacts, warm-up included, in order of sending.

    Raises:
        PreconditionError: `bad-generator-output`: the file is missing or not what is expected.
    """
    path = folder / FILE
    try:
        return sorted(_read(path), key=lambda one: one.begin)
    except OSError as error:
        raise _unusable_output(path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable_output(path, f"{type(error).__name__}: {error}") from error


def _read(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise ValueError(f"a record has more than {LONGEST_LINE} bytes")
            if line.strip():
                yield parse_record(json.loads(line))


def parse_record(row: Mapping[str, Any]) -> Record:
    """The record in one line of the file, parsed from JSON.

    Raises:
        KeyError, TypeError, ValueError: the line has another form.
    """
    metadata = row["metadata"]
    begin = row["start_perf_ns"] / NANO
    # The same moment on both clocks: what is between them turns one into the other.
    shift = begin - metadata["request_start_ns"] / NANO
    chunks: list[float] = []
    answer: float | None = None
    usage: Mapping[str, Any] = {}
    for response in row["responses"]:
        moment = response["perf_ns"] / NANO
        for packet in response.get("packets", ()):
            body = _body(packet)
            usage = body.get("usage") or usage
            is_answer = _has(body, ANSWER)
            if is_answer or _has(body, REASONING):
                chunks.append(moment)
                if is_answer and answer is None:
                    answer = moment
    return Record(
        due=metadata["credit_issued_ns"] / NANO + shift,
        begin=begin,
        end=metadata["request_end_ns"] / NANO + shift,
        chunks=tuple(chunks),
        answer=answer,
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        error=_error(row, chunks),
        is_cut=bool(metadata.get("was_cancelled")),
        is_warm_up=metadata["benchmark_phase"] == "warmup",
    )


def _body(packet: Mapping[str, Any]) -> Mapping[str, Any]:
    value = packet.get("value")
    if packet.get("name") != "data" or not value or value.strip() == "[DONE]":
        return {}
    body = json.loads(value)
    return body if isinstance(body, Mapping) else {}


def _has(body: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    for choice in body.get("choices") or ():
        delta = choice.get("delta") or choice.get("message") or {}
        if any(delta.get(key) for key in keys):
            return True
    return False


def _error(row: Mapping[str, Any], chunks: list[float]) -> str | None:
    """A short text that is equal for equal failures: they are counted by it."""
    error = row.get("error")
    if error:
        code = error.get("code")
        return f"HTTP {code}" if isinstance(code, int) and code >= 400 else str(error["type"])
    if row.get("status") not in (None, 200):
        return f"HTTP {row['status']}"
    return None if chunks or row["metadata"].get("was_cancelled") else "answer without a token"


def _unusable_output(path: Path, reason: str) -> PreconditionError:
    return PreconditionError(
        Problem(
            "bad-generator-output",
            f"the load generator's record cannot be used: {reason}",
            str(path),
            "`ernie-deploy engine install bench` installs the release that is known",
        )
    )

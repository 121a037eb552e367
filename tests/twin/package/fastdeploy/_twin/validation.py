"""What FastDeploy says to bad requests: many client mistakes are answered with 500."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastdeploy._twin import web

TRACE = '\nTraceback (most recent call last):\n  File "engine_client.py", line 300, in add\n'
INVALID = "invalid_value"
#: name, type, lowest, highest
NUMBERS: tuple[tuple[str, type, float | None, float | None], ...] = (
    ("max_tokens", int, None, None),
    ("max_completion_tokens", int, None, None),
    ("n", int, None, None),
    ("seed", int, 0, 922337203685477580),
    ("temperature", float, 0, None),
    ("top_p", float, 0, 1),
    ("presence_penalty", float, -2, 2),
    ("frequency_penalty", float, -2, 2),
)


class RejectedError(Exception):
    """Arguments: status, message, type, param, code."""


def _reject(message: str, param: str, code: str = INVALID) -> RejectedError:
    return RejectedError(400, message, "invalid_request_error", param, code)


def check(request: web.Request, chat: bool, args: argparse.Namespace) -> dict[str, Any]:
    """The request's body.

    Raises:
        RejectedError: with FastDeploy's status and text.
    """
    if not request.body:
        raise _reject("Field required", "body", "missing_required_parameter")
    if "json" not in request.headers.get("content-type", ""):
        raise RejectedError(500, "'bytes' object has no attribute 'get'", "internal_error")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise RejectedError(
            500,
            "1 validation error for ErrorInfo\nparam\n  Input should be a valid string "
            "[type=string_type, input_value=1, input_type=int]",
            "internal_error",
        ) from None
    if not isinstance(body, dict):
        raise _reject("Input should be a valid dictionary or object to extract fields from", "body")
    _fields(body, chat)
    _limits(body, chat, args)
    return body


def _fields(body: dict[str, object], chat: bool) -> None:
    required = "messages" if chat else "prompt"
    if required not in body:
        raise _reject("Field required", required, "missing_required_parameter")
    if chat and not isinstance(body["messages"], list):
        raise _reject("Input should be a valid list", "list[any]")
    for name, kind, lowest, highest in NUMBERS:
        if body.get(name) is not None:
            body[name] = _number(name, body[name], kind, lowest, highest)
    if body.get("stream_options") and not body.get("stream"):
        raise _reject("Value error, Stream options can only be defined when `stream=True`.", "body")


def _number(
    name: str, value: object, kind: type, lowest: float | None, highest: float | None
) -> int | float:
    word = "integer" if kind is int else "number"
    try:
        number: int | float = kind(value)
    except (TypeError, ValueError):
        raise _reject(
            f"Input should be a valid {word}, unable to parse string as a {word}", name
        ) from None
    if lowest is not None and number < lowest:
        raise _reject(f"Input should be greater than or equal to {lowest}", name)
    if highest is not None and number > highest:
        raise _reject(f"Input should be less than or equal to {highest}", name)
    return number


def _limits(body: dict[str, Any], chat: bool, args: argparse.Namespace) -> None:
    """Checks of engine_client: they carry a traceback and the status 500."""
    kind = "invalid_request_error"
    if chat and not body["messages"] and not body.get("prompt_token_ids"):
        raise RejectedError(
            500,
            "messages can not be an empty list, unless prompt_token_ids is passed" + TRACE,
            kind,
        )
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None and body[name] < 1:
            raise RejectedError(
                500,
                f"max_tokens can be defined [1, {args.max_model_len}), but now it's {body[name]}."
                + TRACE,
                kind,
            )
    if body.get("logprobs") and not getattr(args, "enable_logprob", False):
        raise RejectedError(500, "Logprobs is disabled, please enable it in startup config.", kind)

"""The limit of the context: FastDeploy's refusal is known, whatever only looks like it is not."""

from __future__ import annotations

import json
from email.message import Message

import pytest

from launcher.smoke.run.suite import smoke
from tests.smoke import model
from tests.smoke.defects.planting import Route
from tests.smoke.defects.routes import OK
from tests.smoke.rows import rows
from tests.smoke.servers import CONTEXT, Body, Defect, RouteAnswer, Server, serve
from tests.smoke.targets import target_of

TEXT = (
    f"Input text is too long, input_ids_len ({CONTEXT - 1}) + min_tokens(1) >= "
    f"max_model_len({CONTEXT})"
)
MESSAGE = (
    f"request[chatcmpl-1] generator error: {TEXT}, Traceback (most recent call last):\n"
    f'  File "engine_client.py", line 331, in add_requests\nfastdeploy.utils.EngineError: {TEXT}\n'
)
REFUSED: Body = {"error": {"message": MESSAGE, "type": "invalid_request_error", "param": None}}
LESS, MISTAKE = "fastdeploy-context-one-token-less", "fastdeploy-client-errors-500"


def by_length(*answers: tuple[int, RouteAnswer | str]) -> Route:
    """A hook: prompts of so many tokens at least get this answer (`dies`: all later ones hang)."""

    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if method != "POST":
            return None
        if server.memory.get("dead"):
            server.hang.wait(600)
            return 0, ""
        count = model.prompt_tokens(body_of(data))
        chosen = [answer for least, answer in answers if count >= least]
        if not chosen:
            return None
        if isinstance(chosen[-1], str):
            server.memory["dead"] = True
            return 0, ""
        return chosen[-1]

    return route


def body_of(data: bytes) -> Body:
    body: Body = json.loads(data)
    return body


def judged(
    route: Route, engine: str = "fastdeploy", release: str = "2.4.0"
) -> tuple[Body, set[str], int]:
    with serve(Defect("limit", "context-limit", route=route)) as server:
        target = target_of(
            server, engine=engine, release=release, request_timeout=6.0, silence_timeout=1.5
        )
        result = smoke(target, names=["context-limit"])
    (one,) = rows(result)
    return one, {d["id"] for d in one["deviations"]}, result.exit_code


@pytest.mark.parametrize("release", ["2.3.0", "2.4.0", "2.5.0", "2.6.0"])
def test_fastdeploys_refusal_is_known(release: str) -> None:
    one, named, code = judged(by_length((CONTEXT - 1, (500, REFUSED))), release=release)
    assert (one["verdict"], named, code) == ("fail", {LESS, MISTAKE}, 0)
    assert {f["code"] for f in one["findings"]} == {
        "context-one-token-less",
        "client-error-5xx",
        "error-traceback",
    }


def test_the_same_refusal_is_a_failure_of_another_engine() -> None:
    one, named, code = judged(by_length((CONTEXT - 1, (500, REFUSED))), engine="vllm")
    assert (one["verdict"], named, code) == ("fail", set(), 1)


REFUSES: tuple[int, RouteAnswer] = (CONTEXT - 1, (500, REFUSED))


@pytest.mark.parametrize(
    "route",
    [
        by_length(REFUSES, (CONTEXT + 1, (200, OK))),
        by_length(REFUSES, (CONTEXT + 1, (500, "Internal Server Error"))),
        by_length(REFUSES, (CONTEXT + 1, (500, {"error": {"message": "CUDA error(700)"}}))),
        by_length(REFUSES, (CONTEXT + 1, (502, "Bad Gateway"))),
        by_length(REFUSES, (CONTEXT + 1, "dies")),
        by_length((CONTEXT - 1, (500, "Internal Server Error"))),
        by_length((CONTEXT - 1, "dies")),
        by_length((CONTEXT - 2, (500, REFUSED))),
        by_length((CONTEXT // 2, (500, REFUSED))),
        by_length((CONTEXT, (200, OK))),
    ],
    ids=[
        "accepted", "bare-500", "other-500", "gateway", "dies-of-it", "bare-500-at-the-limit",
        "dies-at-the-limit", "two-tokens-less", "half-of-it", "cut-silently",
    ],
)  # fmt: skip
def test_what_is_not_that_refusal_fails(route: Route) -> None:
    one, named, code = judged(route)
    assert (one["verdict"], named, code) == ("fail", set(), 1), one["message"]


def test_a_server_that_is_unwell_afterwards_fails() -> None:
    requests_seen: list[int] = []

    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if method != "POST":
            return None
        requests_seen.append(model.prompt_tokens(body_of(data)))
        if requests_seen[-1] < CONTEXT // 4 and max(requests_seen) > CONTEXT:
            return 500, REFUSED
        return (500, REFUSED) if requests_seen[-1] >= CONTEXT - 1 else None

    one, named, code = judged(route)
    assert (one["verdict"], named, code) == ("fail", set(), 1)

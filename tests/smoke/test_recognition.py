"""What a URL is: said by --engine, or seen by what the server tells of itself."""

from __future__ import annotations

from email.message import Message

import pytest

from launcher.errors import UsageError
from launcher.smoke.run.suite import smoke
from launcher.smoke.targets.recognition import names_in
from launcher.smoke.targets.resolve import of_url, resolve
from tests.smoke.defects.planting import delta_of, deltas, pieces
from tests.smoke.rows import rows
from tests.smoke.servers import Body, Defect, Event, RouteAnswer, Server, serve

Answers = dict[str, RouteAnswer]


def routes(**answers: RouteAnswer) -> Defect:
    """A server some of whose routes answer otherwise: `v1_models=...`, `metrics=...`."""

    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        name = path.strip("/").replace("/", "_").replace(".", "_")
        return answers.get(name) if method == "GET" else None

    return Defect("routes", "", route=route)


def listed(**entry: object) -> RouteAnswer:
    return 200, {"object": "list", "data": [{"id": "tiny-ernie", "object": "model", **entry}]}


VLLM = listed(owned_by="vllm")
RECOGNISED: list[tuple[Answers, str | None, str | None, str]] = [
    ({"v1_models": listed(owned_by="FastDeploy")}, "fastdeploy", None, "owned_by"),
    ({"v1_models": VLLM, "version": (200, {"version": "0.32.0"})}, "vllm", "0.32.0", "0.32.0"),
    ({"v1_models": VLLM}, "vllm", None, "owned_by"),
    ({"v1_models": VLLM, "version": (200, {"version": []})}, "vllm", None, ""),
    ({"metrics": (200, "# TYPE fastdeploy:batch_size gauge\n")}, "fastdeploy", None, "fastdeploy:"),
    ({"metrics": (200, "vllm:request_success_total 3.0\n")}, "vllm", None, "vllm:"),
    ({"openapi_json": (200, {"paths": {"/load_model": {}}})}, "transformers", None, "routes"),
    ({"v1_models": listed(owned_by="me")}, None, None, ""),
    ({"v1_models": listed(owned_by=["vllm"])}, None, None, ""),
]


@pytest.mark.parametrize(("answers", "engine", "release", "evidence"), RECOGNISED)
def test_recognized_by_what_the_server_tells(
    answers: Answers, engine: str | None, release: str | None, evidence: str
) -> None:
    with serve(routes(**answers)) as server:
        target = of_url(server.url)
    assert (target.engine, target.release) == (engine, release)
    notes = " ".join(target.notes)
    assert evidence in notes
    assert ("taken for" in notes) == (engine is not None)


def test_engine_is_believed_without_a_look() -> None:
    with serve(routes(v1_models=VLLM)) as server:
        target = resolve(server.url, engine="fastdeploy", release="2.3.0")
    assert (target.engine, target.release) == ("fastdeploy", "2.3.0")
    assert "taken for" not in " ".join(target.notes)


@pytest.mark.parametrize("target", ["one", "profiles/ernie-tiny-cpu.yaml"])
def test_engine_is_for_urls(target: str) -> None:
    with pytest.raises(UsageError, match="--engine says what a URL is"):
        resolve(target, engine="vllm")
    with pytest.raises(UsageError, match="a release belongs to an engine"):
        resolve("http://127.0.0.1:1", release="1.0")


def leak(events: list[Event], body: Body) -> list[Event]:
    """What vLLM's parser does to every stream without tools."""
    where = pieces(events)
    if where and not body.get("tools"):
        delta = delta_of(events[where[-1]])
        delta["content"] += "</response>"
    return events


@pytest.mark.parametrize("how", ["said", "recognized", "unknown"])
def test_a_known_deviation_is_known_at_a_url(how: str) -> None:
    hooks = routes(v1_models=listed(owned_by="vllm" if how == "recognized" else "me"))
    hooks.events = deltas(leak)
    with serve(hooks) as server:
        target = resolve(server.url, engine="vllm" if how == "said" else None)
        result = smoke(target, names=["tags-stream"])
    (one,) = rows(result)
    assert one["verdict"] == "fail"
    assert bool(one["deviations"]) == (how != "unknown")
    assert result.exit_code == (1 if how == "unknown" else 0)


@pytest.mark.parametrize(
    ("error", "names"),
    [
        ("Unsupported model: [default], support [ERNIE-4.5-0.3B] or default", ["ERNIE-4.5-0.3B"]),
        ("The model `x` does not exist. Available models: a/b, c", ["a/b"]),
        ("model not found, available models: ['ernie-4.5', 'x2']", ["ernie-4.5", "x2"]),
        ("Unknown model. Did you mean 'ernie-tiny'?", ["ernie-tiny"]),
        ("model must be one of: `tiny`", ["tiny"]),
        ("The model `default` does not exist.", []),
        ("Invalid model. Call /v1/models to view available models for your key.", []),
        ("available " * 1000 + "[" * 4000, []),
    ],
)
def test_names_in_errors(error: str, names: list[str]) -> None:
    assert names_in(error) == names


def test_a_refusal_that_names_the_model_is_used() -> None:
    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if path == "/v1/models":
            return 404, {"error": {"message": "no route"}}
        if method == "POST" and b'"model": "default"' in data:
            message = "Unsupported model: [default], support [tiny-ernie] or others"
            return 400, {"error": {"message": message}}
        return None

    with serve(Defect("named", "", route=route)) as server:
        target = of_url(server.url)
        result = smoke(target, names=["chat"])
    assert target.model == "tiny-ernie"
    assert "its error names it" in target.notes[0]
    assert result.exit_code == 0


def test_of_several_models_the_first_is_asked_where_default_is_none() -> None:
    entries = [{"id": "tiny-ernie"}, {"id": "other"}]
    with serve(routes(v1_models=(200, {"data": entries}))) as server:
        target = of_url(server.url)
    assert target.model == "tiny-ernie"
    assert "lists 2 models" in target.notes[0]

"""The full suite on real engines with the tiny ERNIE, through `up`, `smoke` and `down`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import cli, engines

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def ran(request: pytest.FixtureRequest, module_home: Path) -> Iterator[cli.Ran]:
    """A full smoke run of a shipped profile on its engine."""
    engine, profile, clients = request.param
    python = engines.require(engine)
    up = cli.run(
        "up",
        f"profiles/{profile}.yaml",
        "--set",
        f"python={python}",
        "--json",
        home=module_home,
        deadline=600,
    )
    assert up.rc == 0, up.output()
    try:
        # What a client asks stands in the server's log: it must not be taken for a failure.
        root = up.json["data"]["base_url"].removesuffix("/v1")
        for path in ("EngineDeadError", "cudaErrorNoKernelImageForDevice"):
            assert requests.get(f"{root}/{path}", timeout=60).status_code == 404
        ran = cli.run(
            "smoke",
            profile,
            "--tag",
            "full",
            "--client",
            clients,
            "--json",
            home=module_home,
            deadline=900,
        )
        if ran.rc:  # a server that ended looks like forty failed checks
            for verb in ("events", "diagnose", "logs"):
                print(cli.run(verb, profile, home=module_home).output()[-4000:])
        yield ran
    finally:
        down = cli.run("down", profile, "--json", home=module_home, deadline=600)
        assert down.rc == 0, down.output()


Verdicts = dict[str, dict[tuple[str, str], str]]


def by_verdict(ran: cli.Ran) -> Verdicts:
    """Verdict to the names of the checks that ended so; known deviations on their own."""
    checks: Verdicts = {}
    for one in ran.json["data"]["checks"]:
        verdict = "known" if one["deviations"] else one["verdict"]
        checks.setdefault(verdict, {})[(one["name"], one["client"])] = one["message"]
    return checks


@pytest.mark.engine("vllm-cpu")
@pytest.mark.parametrize(
    "ran", [("vllm-cpu", "ernie-tiny-cpu-vllm", "all")], indirect=True, ids=["vllm"]
)
def test_all_that_vllm_promises_passes_or_is_that_releases_own(ran: cli.Ran) -> None:
    checks = by_verdict(ran)
    assert not {**checks.get("fail", {}), **checks.get("inconclusive", {})}, ran.json["data"][
        "checks"
    ]
    assert ran.rc == 0
    clients = {client for _, client in checks["pass"]}
    assert {"requests", "openai", "http"} <= clients
    named = {name for name, _ in checks["known"]}
    assert named <= {"tags-stream", "stream-equals-plain", "reasoning-usage", "tool-none"}


@pytest.mark.engine("transformers")
@pytest.mark.parametrize(
    "ran", [("transformers", "ernie-tiny-cpu", "requests")], indirect=True, ids=["transformers"]
)
def test_transformers_passes_or_says_what_could_not_be_checked(ran: cli.Ran) -> None:
    checks = by_verdict(ran)
    assert not {**checks.get("fail", {}), **checks.get("inconclusive", {})}, ran.json["data"][
        "checks"
    ]
    assert ran.rc == 0
    assert {"tool-required", "json-schema"} <= {n for n, _ in checks["could not check"]}
    # Nothing is skipped in silence: each says what is not promised, or why it could not be asked.
    assert all(checks["could not check"].values())

"""Every hosted profile, through the same code, against a server in its provider's shape."""

from __future__ import annotations

import pytest

from launcher import paths
from launcher.smoke.run.suite import smoke
from launcher.smoke.targets.resolve import resolve
from tests.smoke.hosted_servers import KEY, PROVIDERS, serve_as
from tests.smoke.rows import rows
from tests.support.matrix import some


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIMLAPI_KEY", "HAIMAKER_KEY", "MODELSLAB_KEY"):
        monkeypatch.setenv(name, KEY)


def test_every_shipped_hosted_profile_has_a_server() -> None:
    shipped = {p.stem for p in paths.shipped("profiles", "hosted").glob("*.yaml")}
    assert shipped == set(PROVIDERS)


ONE_OF_EACH = [
    "aimlapi-ernie-4.5-0.3b",
    "haimaker-ernie-4.5-21b-a3b-thinking",
    "modelslab-ernie-4.5-21b-a3b-anthropic",
]


@pytest.mark.parametrize("name", some(list(PROVIDERS), ONE_OF_EACH))
def test_all_that_is_promised_passes_through_every_client(name: str) -> None:
    profile = paths.shipped("profiles", "hosted", f"{name}.yaml")
    with serve_as(name) as url:
        target = resolve(str(profile), sets=(f"base-url={url}",))
        result = smoke(target, tags=["full"], clients=["all"])
    wrong = {
        c["name"]: c["message"] for c in rows(result) if c["verdict"] in ("fail", "inconclusive")
    }
    assert wrong == {}
    assert result.exit_code == 0
    passed = {c["name"] for c in rows(result) if c["verdict"] == "pass"}
    assert {"chat", "usage", "max-tokens", "auth"} <= passed
    assert KEY not in str(result.envelope())


def test_outside_the_promise_is_not_checked() -> None:
    name = "aimlapi-ernie-4.5-0.3b"
    profile = paths.shipped("profiles", "hosted", f"{name}.yaml")
    with serve_as(name) as url:
        result = smoke(resolve(str(profile), sets=(f"base-url={url}",)), names=["tool-call"])
    (check,) = rows(result)
    assert check["verdict"] == "could not check"
    assert "does not promise tools" in check["message"]
    assert result.exit_code == 3

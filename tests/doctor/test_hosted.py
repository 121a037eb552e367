"""A hosted profile is judged by what matters there: the endpoint and the key, not this machine."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli import Ran
from tests.support.decoded import JsonDict
from tests.support.ports import free_port


@pytest.fixture
def examined(run_cli: Callable[..., Ran], tmp_path: Path) -> Callable[[str], dict[str, JsonDict]]:
    """The findings about an endpoint at that address, whose key stands in a file."""

    def run(url: str) -> dict[str, JsonDict]:
        keys = {"base-url": url, "api-key": f"file:{tmp_path / 'key'}", "model": "baidu/x"}
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump({"name": "far", "engine": "hosted", **keys}))
        ran = run_cli("doctor", "--json", str(path))
        assert "top-secret" not in ran.output()
        findings = {f["check"]: f for f in ran.json["data"]["findings"]}
        assert ran.rc == int(any(f["status"] == "FAIL" for f in findings.values())), ran.output()
        return findings

    return run


def test_an_endpoint_that_answers(examined: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("top-secret-value")
    with socket.create_server(("127.0.0.1", 0)) as server:
        finding = examined(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
    # Nothing is asked of this machine: no engine, hub, memory or port of it plays a part.
    assert {name: f["status"] for name, f in finding.items()} == {
        "profile": "PASS",
        "hosted-endpoint": "PASS",
        "hosted-key": "PASS",
    }


def test_neither_endpoint_nor_key(examined: Any) -> None:
    finding = examined(f"http://127.0.0.1:{free_port()}/v1")
    assert finding["hosted-endpoint"]["status"] == "FAIL"
    assert "refused" in finding["hosted-endpoint"]["evidence"]
    assert finding["hosted-key"]["status"] == "FAIL"
    assert "cannot be read" in finding["hosted-key"]["evidence"]


def test_a_name_behind_a_proxy_is_unknown(examined: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    finding = examined("https://far.invalid/v1")["hosted-endpoint"]
    assert (finding["status"], finding["evidence"][:11]) == ("UNKNOWN", "far.invalid")

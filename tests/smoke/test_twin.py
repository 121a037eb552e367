"""FastDeploy's stand-in: what the model card promises passes, known deviations are named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target
from tests.smoke.rows import rows
from tests.smoke.running import target_of_profile
from tests.twin.driver import Twin, lease_ports
from tests.twin.interpreter import make_interpreter

CARD = (
    "--reasoning-parser",
    "ernie_x1",
    "--tool-call-parser",
    "ernie_x1",
    "--load-choices",
    "default_v1",
    "--max-model-len",
    "2048",
    "--max-num-seqs",
    "8",
)
SETS = ("max-model-len=2048", "max-num-seqs=8")


def target(twin: Twin) -> Target:
    metrics = f"http://127.0.0.1:{twin.ports.metrics}"
    return target_of_profile(
        "ernie-4.5-21b-a3b-thinking",
        f"http://127.0.0.1:{twin.ports.port}",
        None,
        "2.4.0",
        SETS,
        metrics_url=f"{metrics}/metrics",
        settings_url=f"{metrics}/config-info",
        settings={
            "max-model-len": (2048, "model_config/max_model_len"),
            "max-num-seqs": (8, "scheduler_config/max_num_seqs"),
        },
    )


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """The twin under the card's command, in a context that a test can fill."""
    python = make_interpreter(tmp_path_factory.mktemp("env") / "2.4", "2.4")
    with lease_ports() as ports:
        folder = tmp_path_factory.mktemp("run")
        lifetime = {"TWIN_MAX_LIFETIME": "280"}
        twin_ = Twin(python, folder, ports, *CARD, environment=lifetime)
        try:
            yield twin_.wait_ready()
        finally:
            twin_.close()


def test_the_cards_promises_pass_and_deviations_are_named(twin: Twin) -> None:
    result = smoke(target(twin), tags=["full"], clients=["all"])
    wrong = {
        (c["name"], c["client"]): c["message"]
        for c in rows(result)
        if c["verdict"] in ("fail", "inconclusive") and not c["deviations"]
    }
    assert wrong == {}
    assert result.exit_code == 0
    named = {d["id"] for c in rows(result) for d in c["deviations"]}
    assert named == {
        "fastdeploy-client-errors-500",
        "fastdeploy-context-one-token-less",
        "fastdeploy-reasoning-tokens-streamed",
    }
    passed = {c["name"] for c in rows(result) if c["verdict"] == "pass"}
    assert {"chat", "reasoning", "tool-call", "tool-call-stream", "stream-end"} <= passed

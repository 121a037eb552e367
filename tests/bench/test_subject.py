"""What is measured: the context of an engine that sets no limit is that of its model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.bench.subject import make_subject
from launcher.codec import encode
from launcher.instance.store import InstanceDir
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.target import Target
from tests.keeper.test_watch import PLAN

TARGET = Target("tiny", "instance", Endpoint("http://127.0.0.1:1/v1", "m"), "m")


@pytest.fixture
def instance(tmp_path: Path) -> InstanceDir:
    """An instance that was started with the model in `model/`."""
    plan = replace(PLAN, instance="tiny", model=str(tmp_path / "model"))
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(encode(plan)))
    (tmp_path / "model").mkdir()
    return InstanceDir(folder)


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ('{"max_position_embeddings": 8192}', 8192),
        ('{"max_position_embeddings": "many"}', None),
        ("no JSON", None),
    ],
)
def test_an_engine_without_a_limit_takes_what_its_model_was_made_for(
    instance: InstanceDir, tmp_path: Path, config: str, context: int | None
) -> None:
    (tmp_path / "model" / "config.json").write_text(config)
    assert make_subject(TARGET, [instance]).target.max_model_len == context
    limited = replace(TARGET, max_model_len=2048)
    assert make_subject(limited, [instance]).target.max_model_len == 2048
    assert make_subject(TARGET).target.max_model_len is None, "nothing is known of a URL"

"""`bench tune` of FastDeploy: each setting is a start of its own, within the plan of the card."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.fastdeploy.conftest import Make
from tests.fastdeploy.test_memory_learning import one_card
from tests.support import engines
from tests.support.decoded import JsonDict

pytestmark = [pytest.mark.soak, pytest.mark.engine("bench")]


def test_what_does_not_fit_the_card_is_not_started_and_the_better_of_the_rest_is_proved(
    fastdeploy: Make, home: Path, tmp_path: Path
) -> None:
    folder = Path(engines.require("bench")).parents[1]
    (home / "engines").mkdir(exist_ok=True)
    (home / "engines" / folder.name).symlink_to(folder)
    server = fastdeploy(
        **{
            "max-num-seqs": 1,
            "engine-args": {"gpu-memory-utilization": 0.9, "max-num-batched-tokens": 2048},
        }
    )
    overlay = tmp_path / "tuned.yaml"
    ran = server.run(
        "bench", "tune", str(server.profile), "--concurrency", "4", "--requests", "16",
        "--repetitions", "1", "--try", "max-num-seqs=1,4",
        "--try", "engine-args.gpu-memory-utilization=0.01,0.9", "--write", str(overlay), "--json",
        env=one_card(tmp_path),
    )  # fmt: skip
    assert ran.rc == 0, ran.output()
    trials: list[JsonDict] = ran.json["data"]["trials"]
    refused = [
        one for one in trials if one["settings"].get("engine-args.gpu-memory-utilization") == 0.01
    ]
    assert [one["score"] for one in refused] == [None, None]
    assert all("does not fit on NVIDIA A10" in one["problem"] for one in refused), refused
    assert yaml.safe_load(overlay.read_text())["max-num-seqs"] == 4

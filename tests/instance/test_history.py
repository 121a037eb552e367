"""What earlier starts took, by a history that may be damaged."""

import json
from pathlib import Path

import pytest

from launcher.instance.history import expected_seconds


def state(time: object, name: object, **more: object) -> dict[str, object]:
    return {"event": "state", "time": time, "state": name, **more}


def start(begin: float, seconds: float) -> list[dict[str, object]]:
    return [state(begin, "starting"), state(begin + 1, "loading"), state(begin + seconds, "ready")]


def written(folder: Path, *lines: object) -> Path:
    (folder / "events.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return folder


def test_the_median_of_the_newest_starts(tmp_path: Path) -> None:
    seconds = [900, 900, 900, 10, 12, 11, 40, 13]
    events = [e for n, took in enumerate(seconds) for e in start(n * 1000.0, took)]
    assert expected_seconds(written(tmp_path, *events)) == 12


def test_a_start_that_did_not_get_ready_tells_nothing(tmp_path: Path) -> None:
    events = [
        *start(0, 10)[:2], state(3, "failed"),
        state(5, "ready"),
        *start(100, 7)[:2], state(105, "stopping"), state(106, "stopped"),
    ]  # fmt: skip
    assert expected_seconds(written(tmp_path, *events)) is None


def test_the_older_file_counts_too(tmp_path: Path) -> None:
    written(tmp_path, *start(0, 10)).joinpath("events.jsonl").rename(tmp_path / "events.jsonl.1")
    assert expected_seconds(written(tmp_path, *start(100, 20))) == 15


@pytest.mark.parametrize(
    "damage",
    [
        [state("soon", "starting"), state(None, "ready")],
        [state(10, "starting"), state(5, "ready")],
        [state(10, "starting"), state(float("nan"), "ready")],
        [state(10, "starting"), state(float("inf"), "ready")],
        [state(10, "starting"), state(10**400, "ready")],
        [state(True, "starting"), state(99, "ready")],
        [state(0, "starting"), state(10**9, "ready")],
        [state(0, ["starting"]), state(5, {"ready": 1})],
        [[], "text", None, 3, {"event": ["state"]}],
    ],
)
def test_damage_tells_nothing_and_never_fails(tmp_path: Path, damage: list[object]) -> None:
    assert expected_seconds(written(tmp_path, *damage)) is None
    assert expected_seconds(written(tmp_path, *damage, *start(50, 8))) == 8


@pytest.mark.parametrize("content", [b"\x00\xff" * 99, b"{" * 5000, b"[" * 100_000, b""])
def test_no_history_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events.jsonl").write_bytes(content)
    (tmp_path / "events.jsonl.1").mkdir()
    assert expected_seconds(tmp_path) is None
    assert expected_seconds(tmp_path / "absent") is None

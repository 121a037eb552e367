"""The text of pipes and CI logs stays what it is, byte for byte, whatever terminals get."""

import contextlib
import io
from pathlib import Path

import pytest

from launcher.report.emit import emit
from tests.report.plain_results import RESULTS

RECORDED = Path(__file__).with_name("plain")


@pytest.mark.parametrize("name", RESULTS)
def test_the_text_of_a_pipe_is_the_recorded_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(variable, raising=False)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        emit(RESULTS[name], as_json=False)
    assert out.getvalue() + "-- stderr\n" + err.getvalue() == (
        (RECORDED / f"{name}.txt").read_text(encoding="utf-8")
    )


def test_every_record_is_of_a_result() -> None:
    assert {path.stem for path in RECORDED.iterdir()} == set(RESULTS)

"""Every planted defect is caught by the check that exists for it."""

from __future__ import annotations

import pytest

from launcher.smoke.check import all_checks
from launcher.smoke.run.suite import smoke
from tests.smoke.defects import DEFECTS
from tests.smoke.rows import rows
from tests.smoke.servers import Defect, serve
from tests.smoke.targets import target_of


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_is_caught(defect: Defect) -> None:
    with serve(defect, key="right") as server:
        target = target_of(server, request_timeout=6.0, silence_timeout=1.5)
        result = smoke(target, names=[defect.check])
    (check,) = rows(result)
    assert check["verdict"] == "fail", check["message"]
    assert check["findings"]
    assert result.exit_code == 1


def test_there_are_at_least_forty() -> None:
    assert len(DEFECTS) >= 40


def test_every_check_has_a_defect_that_it_catches() -> None:
    assert {c.name for c in all_checks()} == {d.check for d in DEFECTS.values()}

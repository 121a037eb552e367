"""Groups of prefill and decode instances with the twin: changes under streaming load."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.group_rig import GroupRig
from tests.support.packages import needs_package


@pytest.fixture(params=["2.4", "2.5"])
def shop(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[GroupRig]:
    """A bench for one release; the service is taken down at the end."""
    needs_package("haproxy")
    new_rig = GroupRig(home, tmp_path, request.param)
    try:
        yield new_rig
        if (home / "services").is_dir():
            new_rig.down_service()
    finally:
        new_rig.close()


def test_an_update_under_load_loses_nothing(shop: GroupRig) -> None:
    shop.deploy_group()
    with shop.chat() as load:
        load.wait_for(10)
        shop.deploy_group()
        load.wait_for(10)
    print(load.tally.text())
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()

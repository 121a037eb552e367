"""Full file systems, really filled: in a private mount namespace, where nothing else notices."""

from __future__ import annotations

import pytest

from tests.drill.conftest import RESTART
from tests.fastdeploy.conftest import Make, fastdeploy, twin_python
from tests.fastdeploy.test_full_disks import in_namespace, nothing_left, refusal
from tests.support.decoded import JsonDict

__all__ = ["fastdeploy", "twin_python"]


@pytest.fixture(autouse=True)
def _needs_a_namespace() -> None:
    if refusal():
        pytest.skip(f"a private mount namespace is refused here: {refusal()}")


def drill_of(make: Make, mount: str, scenario: str) -> tuple[int, JsonDict]:
    """Exit code and the one result of a drill in a namespace in which `mount` is a small disk."""
    server = make(release="2.5", restart=RESTART)
    server.home.mkdir(parents=True, exist_ok=True)
    folder = mount.format(home=server.home)
    up, drill, down = in_namespace(
        server,
        f"mount -t tmpfs -o size=300m,mode=700 none {folder}",
        f"up {server.profile}",
        f"drill {server.name} --yes --force in-use --scenario {scenario}",
        f"down {server.name}",
    )
    assert up[0] == 0, up[1]["errors"]
    assert down[0] == 0, down
    nothing_left(server)
    (result,) = drill[1]["data"]["scenarios"]
    return drill[0], result


def test_shared_memory_is_filled_and_free_again(fastdeploy: Make) -> None:
    _, result = drill_of(fastdeploy, "/dev/shm", "shm-full")
    assert result["verdict"] != "not applicable", result["message"]
    assert result["measured"]["detection"] is not None
    assert result["measured"]["leftovers"] == []


def test_a_disk_of_its_own_is_filled_and_free_again(fastdeploy: Make) -> None:
    rc, result = drill_of(fastdeploy, "{home}", "disk-full")
    assert (rc, result["verdict"]) == (0, "pass"), result
    assert not result["simulated"]
    assert "was filled" in result["note"]
    assert result["measured"]["requests"]["answered"] > 0

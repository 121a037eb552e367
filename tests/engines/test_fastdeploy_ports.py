"""Which of FastDeploy's numbers are ports that something listens on, per release."""

import pytest

from launcher.plan.model import read_plan
from tests.engines import making
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict


@pytest.mark.parametrize(
    ("release", "keys", "closed"),
    [
        ("2.2.0", {}, ["cache-queue"]),
        ("2.2.0", {"engine_args": {"enable-prefix-caching": True}}, []),
        ("2.3.0", {}, ["engine-worker-queue"]),
        ("2.3.0", {"env": {"FD_ENGINE_TASK_QUEUE_WITH_SHM": "0"}}, []),
        ("2.4.0", {"env": {"FD_ENGINE_TASK_QUEUE_WITH_SHM": "01"}}, ["engine-worker-queue"]),
        ("2.4.0", {"engine_args": {"enable-prefix-caching": False}},
         ["engine-worker-queue", "cache-queue"]),
        ("2.3.0", {"engine_args": {"speculative-config": {"method": "ngram_match"}}},
         ["engine-worker-queue", "cache-queue"]),
        ("2.1.0", {"tensor_parallel_size": 2}, ["engine-worker-queue-2", "cache-queue"]),
        ("2.4.0", {"ports": {"pd-comm": 8200, "rdma-comm": 8210}},
         ["engine-worker-queue", "rdma-comm"]),
        ("2.5.0", {"ports": {"pd-comm": 8200, "rdma-comm": 8210}},
         ["engine-worker-queue", "pd-comm", "rdma-comm"]),
        ("2.6.0", {}, ["engine-worker-queue", "cache-queue"]),
        ("2.6.0", {"tensor_parallel_size": 2, "engine_args": {"ips": "10.0.0.1,10.0.0.2"}}, []),
        ("2.3.0", {"ports": {"pd-comm": 8200}}, ["engine-worker-queue"]),
    ],
)  # fmt: skip
def test_numbers_that_nothing_listens_on_are_not_bound(
    release: str, keys: JsonDict, closed: list[str]
) -> None:
    plan = making.plan(making.profile(**keys), release)
    assert [use.name for use in plan.ports if not use.bound] == closed
    unix = release >= "2.3" and "engine-worker-queue" in closed
    paths = [use.socket for use in plan.ports if use.socket]
    cache = release >= "2.6" and "cache-queue" in closed
    expected = [8182] * unix + [8183] * cache
    assert paths == [f"/dev/shm/fd_task_queue_{number}.sock" for number in expected]


def test_the_output_sockets_and_the_adapters_ports_are_shown() -> None:
    env = {"FD_USE_GET_SAVE_OUTPUT_V1": "1", "FD_ENABLE_INTERNAL_ADAPTER": "1"}
    plan = making.plan(making.profile(env=env, tensor_parallel_size=2), "2.4.0")
    assert [one.path for one in plan.sockets if "output" in one.path] == [
        "/dev/shm/get_save_output_rank0.socket", "/dev/shm/get_save_output_rank1.socket",
    ]  # fmt: skip
    assert any("FD_ZMQ_RECV_REQUEST_SERVER_PORT" in note for note in plan.notes)


def test_a_plan_of_an_older_version_has_no_sockets() -> None:
    stored = as_json(making.plan(making.profile(), "2.4.0"))
    del stored["sockets"]
    for use in stored["ports"]:
        del use["socket"]
    assert read_plan(stored).sockets == ()

"""By what FastDeploy shows that it works: its counters, its workers' heartbeat, its pauses.

Names and meanings are read in the sources of the releases: fastdeploy/metrics/metrics.py declares
them, engine/common_engine.py counts a request as received, output/token_processor.py counts tokens
and finished requests, engine/sched/resource_manager_v1.py sets the gauges.
"""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy.catalogue import catalogue_key
from launcher.engines.fastdeploy.release_data import at_least
from launcher.liveness.policy import Counters, LivenessPolicy
from launcher.profile.model import Profile

RECEIVED_SINCE = "2.2"
"""requests_number: metrics.py; 2.0 and 2.1 count no received requests."""
WAITING_SINCE = "2.6"
"""num_requests_waiting and num_requests_queuing are set together by update_metrics of 2.6. Before,
the gauge was `tasks - running` (measured: 0 while 6 of 10 requests waited), and a request may raise
it after it was set: it is not read."""
HEARTBEAT = "/dev/shm/worker_healthy_live_signal.{port}"  # noqa: S108 - FastDeploy's name
"""int32 seconds per rank, written in each round of the worker's loop: worker_process.py."""
HEARTBEAT_SINCE = "2.2"
"""2.0 and 2.1 name it by the engine's pid, which no plan knows."""
CLEARED = 304
"""GET /health of a server whose weights were cleared (engine/engine.py, check_health)."""
WORKERS = (r"^\S+ (?:-\S+ )*\S*fastdeploy/(?:engine/\.\./)?worker/\w*worker_process\.py",)
"""The workers themselves: their launcher, which has the script's path as an argument, only waits.
"""


def liveness(profile: Profile, context: PlanContext) -> LivenessPolicy:
    """What this release tells of its work."""
    line = catalogue_key(context.release)
    received = at_least(line, RECEIVED_SINCE)
    waiting = at_least(line, WAITING_SINCE)
    queue = context.ports["engine-worker-queue"]
    return LivenessPolicy(
        paused_statuses=(CLEARED,),
        counters=Counters(
            progress=("fastdeploy:generation_tokens_total", "fastdeploy:request_success_total"),
            running=("fastdeploy:num_requests_running",),
            waiting=("fastdeploy:num_requests_waiting", "fastdeploy:num_requests_queuing")
            if waiting
            else (),
            received="fastdeploy:requests_number_total" if received else None,
            finished="fastdeploy:request_success_total",
            tokens="fastdeploy:generation_tokens_total",
            kv_usage="fastdeploy:gpu_cache_usage_perc",
        ),
        metrics_port="metrics",
        heartbeat=HEARTBEAT.format(port=queue) if at_least(line, HEARTBEAT_SINCE) else None,
        workers=WORKERS,
    )

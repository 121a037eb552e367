"""The names of FastDeploy's figures: fastdeploy/metrics/metrics.py, releases 2.0 to 2.6.

`num_requests_waiting` stays 0 while requests wait: the scheduler that holds them counts them only
from 2.6 on, as `num_requests_queuing` (engine/sched/resource_manager_v1.py). Before 2.4 the time
to the first token begins when inference does, without the time in the queue
(output/token_processor.py: `inference_start_time`, then `arrival_time`).
"""

from __future__ import annotations

from launcher.engines.fastdeploy.release_data import at_least
from launcher.plan.figures import Figures

QUEUE_SINCE = "2.6"
"""From here on there is an honest gauge of what waits."""
RECEIVED_SINCE = "2.2"
"""From here on received requests are counted."""


def figures(line: str) -> Figures:
    """The figures of a release line."""
    is_counted = at_least(line, RECEIVED_SINCE) and not at_least(line, QUEUE_SINCE)
    waiting = ["fastdeploy:num_requests_waiting"]
    if at_least(line, QUEUE_SINCE):
        waiting.append("fastdeploy:num_requests_queuing")
    return Figures(
        port="metrics",
        running=("fastdeploy:num_requests_running",),
        waiting=tuple(waiting),
        received="fastdeploy:requests_number_total" if is_counted else None,
        finished="fastdeploy:request_success_total" if is_counted else None,
        tokens="fastdeploy:generation_tokens_total",
        ttft="fastdeploy:time_to_first_token_seconds",
        kv_usage="fastdeploy:gpu_cache_usage_perc",
    )

"""/metrics and /config-info, as the front end answers them on M (or through P)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from fastdeploy._twin import release, web
from fastdeploy._twin.faults import fault

if TYPE_CHECKING:
    from fastdeploy._twin.scheduler import Scheduler

LATENCY = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
           240.0, 480.0, 960.0, 1920.0, 7680.0)  # fmt: skip
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
HISTOGRAMS: dict[str, tuple[float, ...]] = {
    "time_to_first_token_seconds": (
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0,
    ),
    "time_per_output_token_seconds": (
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0,
    ),
    "request_inference_time_seconds": LATENCY,
    "request_queue_time_seconds": LATENCY,
    "request_prefill_time_seconds": LATENCY,
    "request_decode_time_seconds": LATENCY,
    "request_generation_tokens": TOKENS,
    "e2e_request_latency_seconds": LATENCY,
    "request_params_max_tokens": TOKENS,
    "request_prompt_tokens": TOKENS,
}  # fmt: skip
#: Printed twice by 2.0 to 2.3: a strict reader of Prometheus text rejects that.
DOUBLED = (
    "e2e_request_latency_seconds",
    "request_params_max_tokens",
    "request_prompt_tokens",
    "prompt_tokens_total",
)
SINCE_22 = {
    "prefix_cache_token_num_total", "prefix_gpu_cache_token_num_total",
    "prefix_cpu_cache_token_num_total", "prefix_ssd_cache_token_num_total", "batch_size",
    "max_batch_size", "available_gpu_block_num", "free_gpu_block_num", "max_gpu_block_num",
    "available_gpu_resource", "requests_number_total", "send_cache_failed_num_total",
    "first_token_latency", "infer_latency",
}  # fmt: skip
SINCE_23 = {
    "available_batch_size", "hit_req_rate", "hit_token_rate", "cpu_hit_token_rate",
    "gpu_hit_token_rate", "cache_config_info",
}  # fmt: skip


def metrics(scheduler: Scheduler) -> str:
    """Prometheus text. num_requests_waiting stays 0 before 2.6, as it does on the real server."""
    running = len(scheduler.running)
    waiting = len(scheduler.waiting) if release.at_least("2.6") else 0
    blocks, seats = scheduler.config.gpu_blocks, scheduler.seats
    last = scheduler.finished[-1] if scheduler.finished else {}
    counters = {
        "generation_tokens_total": scheduler.generated,
        "request_success_total": scheduler.succeeded,
        "requests_number_total": scheduler.received,
        "prompt_tokens_total": scheduler.prompt_tokens,
        "prefix_cache_token_num_total": 0,
        "prefix_gpu_cache_token_num_total": 0,
        "prefix_cpu_cache_token_num_total": 0,
        "prefix_ssd_cache_token_num_total": 0,
        "send_cache_failed_num_total": 0,
    }
    gauges: dict[str, float] = {
        "num_requests_running": running,
        "num_requests_waiting": waiting,
        "num_requests_queuing": 0,
        "gpu_cache_usage_perc": min(1.0, running / max(1, blocks)),
        "batch_size": running,
        "max_batch_size": seats,
        "available_gpu_block_num": blocks - running,
        "free_gpu_block_num": blocks - running,
        "max_gpu_block_num": blocks,
        "available_gpu_resource": 1 - running / max(1, blocks),
        "first_token_latency": last.get("time_to_first_token_seconds", 0.0),
        "infer_latency": last.get("time_per_output_token_seconds", 0.0),
        "available_batch_size": seats - running,
        "hit_req_rate": 0,
        "hit_token_rate": 0,
        "cpu_hit_token_rate": 0,
        "gpu_hit_token_rate": 0,
    }
    lines: list[str] = []
    families: list[tuple[str, str, float]]
    families = [(name, "counter", value) for name, value in counters.items()]
    families += [(name, "gauge", value) for name, value in gauges.items()]
    for name, kind, value in families:
        if _is_known(name):
            lines += _twice(name, [*_head(name, kind), f"fastdeploy:{name} {float(value)}"])
    for name, buckets in HISTOGRAMS.items():
        values = [row[name] for row in scheduler.finished]
        lines += _twice(name, _histogram(name, buckets, values))
    if _is_known("cache_config_info"):
        # the label is the figure from before profiling, the value is always 1
        labels = (
            f'block_size="{scheduler.config.block_size}",enable_prefix_caching="True",'
            f'gpu_memory_utilization="{scheduler.config.args.gpu_memory_utilization}",'
            f'total_block_num="136"'
        )
        lines += _head("cache_config_info", "gauge")
        lines.append(f"fastdeploy:cache_config_info{{{labels}}} 1.0")
    return "\n".join(lines) + "\n"


def _is_known(name: str) -> bool:
    needed = "2.2" if name in SINCE_22 else "2.3" if name in SINCE_23 else "2.0"
    needed = "2.6" if name == "num_requests_queuing" else needed
    return release.at_least(needed)


def _head(name: str, kind: str) -> list[str]:
    title = name.replace("_", " ")
    return [f"# HELP fastdeploy:{name} {title}", f"# TYPE fastdeploy:{name} {kind}"]


def _twice(name: str, lines: list[str]) -> list[str]:
    return lines * 2 if name in DOUBLED and not release.at_least("2.4") else lines


def _histogram(name: str, buckets: tuple[float, ...], values: list[float]) -> list[str]:
    lines = _head(name, "histogram")
    for bound in buckets:
        count = sum(value <= bound for value in values)
        lines.append(f'fastdeploy:{name}_bucket{{le="{float(bound)}"}} {float(count)}')
    lines.append(f'fastdeploy:{name}_bucket{{le="+Inf"}} {float(len(values))}')
    lines.append(f"fastdeploy:{name}_count {float(len(values))}")
    lines.append(f"fastdeploy:{name}_sum {float(sum(values))}")
    return lines


def environment() -> dict[str, Any]:
    """env_config: every variable of envs.py with its value, FD_API_KEY in clear."""
    rows = release.table("environment")
    return {row["name"]: os.environ.get(row["name"], row["default"]) for row in rows}


def config_info(scheduler: Scheduler) -> str:
    """The effective configuration, with the keys that a launcher compares."""
    config, args = scheduler.config, scheduler.config.args
    model: dict[str, Any] = {
        "model": config.model,
        "max_model_len": config.max_model_len,
        "architectures": config.described.get("architectures"),
        "dtype": config.described.get("dtype") or config.described.get("torch_dtype"),
        "quantization": getattr(args, "quantization", None),
        "enable_logprob": getattr(args, "enable_logprob", False),
        "max_logprobs": getattr(args, "max_logprobs", None),
        "revision": getattr(args, "revision", None),
    }
    document: dict[str, object] = {
        "model_config": model,
        "cache_config": {
            "total_block_num": config.gpu_blocks,
            "num_gpu_blocks_override": config.blocks_override,
            "block_size": config.block_size,
            "gpu_memory_utilization": args.gpu_memory_utilization,
            "kv_cache_ratio": args.kv_cache_ratio,
            "enable_prefix_caching": getattr(args, "enable_prefix_caching", None),
            "cache_queue_port": config.cache_port,
        },
        "parallel_config": {
            "tensor_parallel_size": config.tensor_parallel_size,
            "data_parallel_size": getattr(args, "data_parallel_size", 1),
            "enable_expert_parallel": getattr(args, "enable_expert_parallel", False),
            "engine_worker_queue_port": [config.queue_port],
            "device_ids": config.devices,
        },
        "scheduler_config": {
            "name": args.scheduler_name,
            "max_num_seqs": args.max_num_seqs,
            "max_num_batched_tokens": config.max_num_batched_tokens,
            "splitwise_role": getattr(args, "splitwise_role", "mixed"),
        },
        "load_config": {
            "load_choices": getattr(args, "load_choices", None),
            "load_strategy": getattr(args, "load_strategy", None),
            "dynamic_load_weight": getattr(args, "dynamic_load_weight", False),
        },
        "structured_outputs_config": {
            "reasoning_parser": getattr(args, "reasoning_parser", None),
            "guided_decoding_backend": getattr(args, "guided_decoding_backend", None),
        },
        "graph_opt_config": getattr(args, "graph_optimization_config", None),
        "speculative_config": getattr(args, "speculative_config", None),
        "env_config": environment(),
    }
    for section in document.values():
        for key, value in (fault("config-differs") or {}).items():
            if value and isinstance(section, dict) and key in section:
                section[key] = type(section[key] or "")(value)
    return json.dumps(document, ensure_ascii=False)


def metrics_app(scheduler: Scheduler) -> web.App:
    """What M serves: two pages, no authentication, 404 for all else."""

    def app(request: web.Request) -> web.Response:
        if request.path == "/metrics" and request.method == "GET":
            return web.Response(body=metrics(scheduler).encode())
        if request.path == "/config-info" and release.at_least("2.3"):
            return web.Response(body=config_info(scheduler).encode(), kind="application/json")
        return web.json_response({"detail": "Not Found"}, 404)

    return app

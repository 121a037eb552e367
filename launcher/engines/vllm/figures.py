"""The names of vLLM's figures: vllm/v1/metrics/loggers.py of 0.32.0, one series for each engine."""

from launcher.plan.figures import Figures

FIGURES = Figures(
    port="api",
    running=("vllm:num_requests_running",),
    waiting=("vllm:num_requests_waiting",),
    tokens="vllm:generation_tokens_total",
    ttft="vllm:time_to_first_token_seconds",
    kv_usage="vllm:kv_cache_usage_perc",
)

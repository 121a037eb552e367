"""What vLLM tells of its speed: vllm/v1/metrics/loggers.py of 0.32.0."""

from launcher.plan.figures import Figures

FIGURES = Figures(ttft="vllm:time_to_first_token_seconds")

"""vLLM, CUDA or CPU build, from 0.10.2 on."""

from launcher.engines.vllm.engine import ENGINE

__all__ = ["ENGINE"]

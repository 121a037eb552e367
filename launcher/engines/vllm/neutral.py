"""vLLM's option behind each neutral key of a profile."""

from __future__ import annotations

from launcher.engines.neutral import NeutralKeys

KEYS = NeutralKeys(
    options={
        "served-model-name": "served-model-name",
        "revision": "revision",
        "max-model-len": "max-model-len",
        "max-num-seqs": "max-num-seqs",
        "tensor-parallel-size": "tensor-parallel-size",
        "quantization": "quantization",
        "parsers.reasoning": "reasoning-parser",
        "parsers.tool-call": "tool-call-parser",
    },
    special=("api-key", "cache-dir"),
)
"""`api-key` is a variable of its environment, `cache-dir` the flag `--download-dir`."""

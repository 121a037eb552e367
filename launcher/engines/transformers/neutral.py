"""The option of `transformers serve` behind each neutral key of a profile."""

from __future__ import annotations

from launcher.engines.neutral import NeutralKeys

_TEMPLATE = "it splits by the checkpoint's response template"

KEYS = NeutralKeys(
    options={"quantization": "quantization"},
    special=("revision", "cache-dir"),
    missing={
        "served-model-name": "it answers only to the model's own name",
        "max-model-len": "the checkpoint's own limit holds",
        "max-num-seqs": "see `engine-args: {continuous-batching: true}`",
        "tensor-parallel-size": "it runs in one process",
        "parsers.reasoning": _TEMPLATE,
        "parsers.tool-call": _TEMPLATE,
        "api-key": "it answers anyone who can connect",
    },
)
"""`revision` is part of the model's name, `cache-dir` a variable of its environment."""

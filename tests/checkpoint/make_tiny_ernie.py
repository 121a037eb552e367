"""Make the tiny ERNIE-4.5 checkpoint of profiles/tiny-ernie from nothing, on a CPU, offline.

Run it with an interpreter that has torch 2.9, transformers 4.54 (or newer) and sentencepiece::

    python -m tests.checkpoint.make_tiny_ernie --out /tmp/tiny-ernie   # 10 minutes on 2 cores

What it learns is in text/, skills.py, memory.py and toolcalls.py and is ours; no weights,
vocabulary or text come from Baidu. The same machine and versions give the same bytes; other
processors may not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any

from tests.checkpoint.mixture import SKILLS
from tests.checkpoint.polish import CLOSING, LAST, POLISH
from tests.checkpoint.tokenizer import BOS, CHAT_TEMPLATE, EOS, UNK, make_tokenizer

SHIPPED = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
]


def round_weights(model: Any, dtype: str) -> None:
    """Continue from what a checkpoint of this phase would hold."""
    import torch

    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.to(getattr(torch, dtype)).float())


def save(model: Any, out: Path, dtype: str) -> None:
    """Write the checkpoint so that transformers 4 and 5, vLLM and FastDeploy all read it."""
    import torch
    from transformers import GenerationConfig

    model.eval().to(getattr(torch, dtype))
    model.generation_config = GenerationConfig(
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=UNK, do_sample=False, max_new_tokens=1024
    )
    model.save_pretrained(out)
    extra = {
        # torch_dtype alone: every transformers reads it, and FastDeploy takes a config.json with
        # both spellings for broken (it tells Paddle's layout from Hugging Face's by them).
        "config.json": {
            "rope_theta": model.config.rope_parameters["rope_theta"]
            if hasattr(model.config, "rope_parameters")
            else model.config.rope_theta,
            "torch_dtype": dtype,
        },
        # transformers 5 writes a class name that older libraries refuse.
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
    }
    for name, values in extra.items():
        file = out / name
        settings = json.loads(file.read_text(encoding="utf-8")) | values
        for key in ("backend", "is_local", "local_files_only", "dtype"):
            settings.pop(key, None)
        file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "chat_template.jinja").write_bytes(CHAT_TEMPLATE.read_bytes())
    for name in SHIPPED:
        os.chmod(out / name, 0o644)  # safetensors writes 0600
    sums = [
        f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in SHIPPED
    ]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The options; the defaults made the checkpoint that ships."""
    parser = argparse.ArgumentParser(description="Make the tiny ERNIE-4.5 checkpoint from nothing.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the checkpoint to")
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--intermediate", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--max-position", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=3000, help="steps of the first phase")
    parser.add_argument("--polish", type=int, default=900, help="steps of the second phase")
    parser.add_argument("--last", type=int, default=1000, help="steps of the third phase")
    parser.add_argument("--closing", type=int, default=900, help="steps of the fourth phase")
    parser.add_argument("--rope-theta", type=float, default=500000.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Make the tokenizer, train, save."""
    args = parse(argv)
    began = time.monotonic()
    import torch
    import transformers
    from transformers import Ernie4_5Config, Ernie4_5ForCausalLM

    from tests.checkpoint import circuits, training

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(args.out, args.vocabulary)
    config = Ernie4_5Config(
        vocab_size=math.ceil(len(tokenizer) / 64) * 64,
        hidden_size=args.hidden,
        intermediate_size=args.intermediate,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=args.kv_heads,
        head_dim=32,  # the smallest that vLLM's CPU attention takes
        max_position_embeddings=args.max_position,
        tie_word_embeddings=True,
        use_bias=False,
        rope_theta=args.rope_theta,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=UNK,
    )
    model = Ernie4_5ForCausalLM(config).float().train()
    circuits.lay_out_copying(model)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters; "
        f"torch {torch.__version__}, transformers {transformers.__version__}",
        flush=True,
    )
    everything = training.Phase(args.steps, 0.01, 0.004, args.seed, SKILLS, drill=0.25)
    weak = training.Phase(args.polish, 0.005, 0.002, args.seed + 1, POLISH)
    last = training.Phase(args.last, 0.004, 0.002, args.seed + 2, LAST)
    closing = training.Phase(args.closing, 0.003, 0.0015, args.seed + 3, CLOSING)
    for phase in (everything, weak, last, closing):
        training.train(model, tokenizer, phase)
        round_weights(model, args.dtype)
    save(model, args.out, args.dtype)
    sizes = {name: (args.out / name).stat().st_size for name in SHIPPED}
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - began),
                "bytes": sum(sizes.values()),
                "files": sizes,
            }
        )
    )


if __name__ == "__main__":
    main()

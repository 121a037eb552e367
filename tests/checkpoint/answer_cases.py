"""Answer every case of behaviour.json greedily with transformers, without a server.

Needs torch and transformers (4.54 or newer); prints JSON for judge.py::

    python -m tests.checkpoint.answer_cases CHECKPOINT > answers.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.decoded import JsonDict

BEHAVIOUR = Path(__file__).resolve().parent / "behaviour.json"


def prompt_of(case: JsonDict, tools: JsonDict, tokenizer: Any) -> str:
    """What a server would make of the case's request."""
    if "prompt" in case:
        return str(case["prompt"])
    switch = {k: case[k] for k in ("enable_thinking",) if k in case}
    text = tokenizer.apply_chat_template(
        case["messages"],
        tools=[tools[t] for t in case.get("tools", [])] or None,
        add_generation_prompt=True,
        tokenize=False,
        **switch,
    )
    return str(text)


def main() -> None:
    """Print every answer, raw, and the decode rate."""
    parser = argparse.ArgumentParser(description="Answer the behaviour list with transformers.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--behaviour", type=Path, default=BEHAVIOUR)
    args = parser.parse_args()
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(args.checkpoint).eval()
    listed = json.loads(args.behaviour.read_text(encoding="utf-8"))

    def complete(text: str, stop: list[int]) -> tuple[str, int]:
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
        with torch.no_grad():
            generated = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=700,
                do_sample=False,
                eos_token_id=stop,
            )[0, ids.shape[1] :].tolist()
        ended = [
            t
            for t in generated
            if t not in stop or t == tokenizer.convert_tokens_to_ids("</think>")
        ]
        return tokenizer.decode(ended) + ("" if generated[-1] in stop else "[no end]"), len(
            generated
        )

    end, close = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("</think>")
    answers, tokens, began = {}, 0, time.monotonic()
    for case in listed["cases"]:
        prompt = prompt_of(case, listed["tools"], tokenizer)
        if "forced" in case:  # a grammar starts right after </think>
            thought, n = complete(prompt, [close, end])
            text, more = complete(prompt + thought + case["forced"], [end])
            text, n = thought + case["forced"] + text, n + more
        else:
            text, n = complete(prompt, [end])
        answers[case["name"]] = text
        tokens += n
    seconds = time.monotonic() - began
    json.dump(
        {
            "engine": f"transformers {transformers.__version__}",
            "dtype": str(model.dtype),
            "tokens_per_second": round(tokens / seconds),
            "answers": answers,
        },
        sys.stdout,
        ensure_ascii=False,
        indent=1,
    )


if __name__ == "__main__":
    main()

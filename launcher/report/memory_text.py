"""Text for `plan --memory`: the answer first, then the account, formula by formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.plan.memory import GIB
from launcher.result import Result


def memory(result: Result) -> str:
    """Fits or not, what is left for the KV cache, and how it was reckoned."""
    data = result.data
    found: Mapping[str, Any] = data["prediction"]
    shape, asked = data["shape"], found["ask"]
    verdict = "fits" if found["fits"] else "does not fit"
    where = f"{asked['tensor_parallel']} x {found['card']['name']}"
    lines = [
        f"{shape['name']} {verdict} on {where}" + ("" if found["fits"] else f": {found['why']}")
    ]
    lines += ["", f"per GPU ({found['card']['source']})"]
    for term in found["terms"]:
        sign = " " if term["name"] == "usable" else "-"
        lines.append(
            f"  {sign} {term['name']:<12} {term['bytes'] / GIB:9.3f} GiB   {term['formula']}"
        )
    lines.append(f"  = {'KV cache':<12} {found['available'] / GIB:9.3f} GiB")
    lines += [
        "",
        f"  one block    {asked['block_size']} tokens, {found['block_bytes'] / 1024:.0f} KiB"
        f" = 2 x {shape['layers']} layers x kv heads per rank x {shape['head_dim']}"
        f" x {asked['kv_bytes']} B x tokens",
        f"  blocks       {found['blocks']}; one sequence of {asked['max_model_len']} tokens needs"
        f" {found['needed']}",
        f"  sequences    {found['sequences']} of max-num-seqs {asked['max_num_seqs']} at once"
        " at full length",
        f"  host memory  {found['host_peak'] / GIB:.1f} GiB at the peak of the load (estimate)",
    ]
    if "largest_model_len" in data:
        lines += [
            "",
            f"  largest max-model-len for {asked['max_num_seqs']} sequences:"
            f" {data['largest_model_len']}",
            f"  largest max-num-seqs at {asked['max_model_len']} tokens:"
            f" {data['largest_num_seqs']}",
        ]
    rows = data["history"]
    if rows:
        last = rows[-1]
        lines += [
            "",
            f"  on this host the last prediction was {last['predicted']} blocks, the engine"
            f" reported {last['reported']} ({last['error']:+.1%}; {len(rows)} start(s))",
        ]
    else:
        lines += ["", "  no start of this model and quantization on this host to compare with yet"]
    return "\n".join(lines)

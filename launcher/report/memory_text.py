"""Text for `plan --memory`: the answer first, then the account, formula by formula."""

from __future__ import annotations

from launcher.plan.memory import GIB, MemoryPlan


def memory(data: MemoryPlan) -> str:
    """Fits or not, what is left for the KV cache, and how it was reckoned."""
    return "\n\n".join(_one(one) for one in (data, *data.others))


def _one(data: MemoryPlan) -> str:
    prediction = data.prediction
    shape, request = data.shape, prediction.ask
    verdict = "fits" if prediction.fits else "does not fit"
    where = f"{request.tensor_parallel * request.replicas} x {prediction.card.name}"
    if request.replicas > 1:
        where += f" ({request.replicas} replicas)"
    role = f"{data.role} instance: " if data.role else ""
    lines = [
        f"{role}{shape.name} {verdict} on {where}"
        + ("" if prediction.fits else f": {prediction.reason}")
    ]
    lines += ["", f"per GPU ({prediction.card.source})"]
    for term in prediction.terms:
        sign = " " if term.name == "usable" else "-"
        lines.append(f"  {sign} {term.name:<12} {term.bytes / GIB:9.3f} GiB   {term.formula}")
    lines.append(f"  = {'KV cache':<12} {prediction.available / GIB:9.3f} GiB")
    lines += [
        "",
        f"  one block    {request.block_size} tokens, {prediction.block_bytes / 1024:.0f} KiB"
        f" = 2 x {shape.layers} layers x kv heads per rank x {shape.head_dim}"
        f" x {request.kv_bytes} B x tokens",
        f"  blocks       {prediction.blocks}; one sequence of {request.max_model_len} tokens"
        f" needs {prediction.needed}",
        f"  sequences    {prediction.sequences} of max-num-seqs {request.max_num_seqs}"
        " at once at full length" + (" on each replica" if request.replicas > 1 else ""),
        f"  host memory  {prediction.host_peak / GIB:.1f} GiB at the peak of the load (estimate)",
    ]
    if data.largest_model_len is not None:
        lines += [
            "",
            f"  largest max-model-len for {request.max_num_seqs} sequences:"
            f" {data.largest_model_len}",
            f"  largest max-num-seqs at {request.max_model_len} tokens: {data.largest_num_seqs}",
        ]
    rows = data.history
    if rows:
        last = rows[-1]
        lines += [
            "",
            f"  on this host the last prediction was {last.predicted} blocks, the engine"
            f" reported {last.reported} ({last.error:+.1%}; {len(rows)} start(s))",
        ]
    else:
        lines += ["", "  no start of this model and quantization on this host to compare with yet"]
    return "\n".join(lines)

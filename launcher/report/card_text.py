"""The serving card on a terminal or in a pipe: the summary, and where the rest is."""

from __future__ import annotations

import time

from launcher.card.payloads import CardInstance, ServingCard
from launcher.report.verdict import LABELS
from launcher.result import Result

NOTE = "NOTE"
GIB = 1024**3


def card(result: Result[ServingCard]) -> str:
    """One line a part, then what runs, by name and hash."""
    data = result.payload
    lines = [f"{data.name}: {data.kind}, {stamp(data.made_at)}", ""]
    width = max(len(part.title) for part in data.parts)
    lines += [
        f"  {mark(part.verdict):<5}  {part.title:<{width}}  {part.message}" for part in data.parts
    ]
    engine, weights = data.versions.engine, data.versions.weights
    lines += [
        "",
        f"  engine   {engine.name} {engine.release or 'of an unknown release'}",
        f"  weights  {weights.model}: {weights_text(data)}",
        f"  tool     ernie-deploy {data.versions.tool.version}, "
        f"sha256 {short(data.versions.tool.sha256)}",
        f"  profile  sha256 {short(data.profile.sha256)}"
        + (f", {data.profile.path}" if data.profile.path else "")
        + (f", revision {data.profile.revision}" if data.profile.revision else ""),
    ]
    lines += [f"  memory   {memory_text(one)}" for one in data.instances]
    return "\n".join(lines)


def mark(verdict: str) -> str:
    """A verdict in five letters."""
    return LABELS[verdict].mark if verdict in LABELS else NOTE


def weights_text(data: ServingCard) -> str:
    """Commit or hash of the weights, or why there is none."""
    weights = data.versions.weights
    parts = []
    if weights.commit:
        parts.append(f"{weights.hub} commit {weights.commit[:12]}")
    if weights.sha256:
        parts.append(f"sha256 {short(weights.sha256)}")
    if weights.note:
        parts.append(weights.note)
    return ", ".join(parts) or "no hash"


def memory_text(one: CardInstance) -> str:
    """What an instance takes: `one: 5 processes, 1.2 GiB resident, 20.1 GiB of GPUs`."""
    use = one.memory
    texts = [f"{use.processes} process{'' if use.processes == 1 else 'es'}"]
    if use.resident is not None:
        texts.append(f"{use.resident / GIB:.2f} GiB resident")
    if use.gpu is not None:
        texts.append(f"{use.gpu / GIB:.2f} GiB of GPUs")
    if use.load is not None and use.load.kv_cache_usage is not None:
        texts.append(f"KV cache {use.load.kv_cache_usage:.0%} in use")
    return f"{one.status.name}: {', '.join(texts)}"


def short(digest: str) -> str:
    """The beginning of a hash."""
    return digest[:12]


def stamp(seconds: float) -> str:
    """A time in UTC: `2026-11-28 18:02:11Z`."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))

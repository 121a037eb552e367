"""The `model` and `bundle` verbs as text."""

from __future__ import annotations

from launcher.result import Result
from launcher.weights.meter import duration_text, size_text
from launcher.weights.payloads import (
    BundleEngine,
    CreatedBundle,
    InstalledBundle,
    ModelList,
    PulledModel,
    VerifiedModel,
)

COMMIT = 12
"""Characters of a commit that are shown in a table."""


def pulled(result: Result[PulledModel]) -> str:
    """`model pull`: what is here now, and how it is used."""
    data = result.payload
    size = f"{data.files} files, {size_text(data.size_bytes)}"
    if not data.new:
        lines = [f"{data.model} is here already: {size}"]
    else:
        lines = [
            f"pulled {data.model}: {size}, all verified; "
            f"{size_text(data.downloaded_bytes)} downloaded in {duration_text(data.seconds)}"
        ]
    lines += [f"  hub     {data.hub}", f"  commit  {data.commit}", f"  folder  {data.folder}"]
    if data.used_by_hub_id:
        lines.append(f"`up` uses it for `model: {data.model}`")
    else:
        lines.append(f"write `model: {data.folder}` in the profile")
    return "\n".join(lines)


def verified(result: Result[VerifiedModel]) -> str:
    """`model verify`: the verdict, then the damaged files."""
    data = result.payload
    size = f"{data.files} files, {size_text(data.size_bytes)} in {duration_text(data.seconds)}"
    if data.damaged:
        lines = [f"{data.model} is damaged: {len(data.damaged)} of {size}"]
        lines += [f"  {one}" for one in data.damaged]
    else:
        lines = [f"{data.model} is whole: {size}", f"  commit  {data.commit}"]
    lines.append(f"  folder  {data.folder}")
    lines += [f"  not in the manifest: {one}" for one in data.extra[:20]]
    return "\n".join(lines)


def listing(result: Result[ModelList]) -> str:
    """`model list`: a row for each copy."""
    data = result.payload
    if not data.models:
        return f"no model in {', '.join(data.folders)}"
    rows = [
        (
            one.model,
            one.hub,
            one.state,
            size_text(one.size_bytes),
            (one.commit or "-")[:COMMIT],
            ",".join(one.revisions) or "-",
            one.folder,
        )
        for one in data.models
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def created(result: Result[CreatedBundle]) -> str:
    """`bundle create`: what is in it, and what to do with it."""
    data = result.payload
    return "\n".join(
        [
            f"created {data.bundle}: {data.files} files, {size_text(data.size_bytes)} "
            f"in {duration_text(data.seconds)}",
            f"  profile  {data.profile}",
            f"  engine   {_engine(data.engine)}",
            f"  model    {data.model} at {data.commit[:COMMIT]}",
            f"on the other host: ernie-deploy bundle install {data.bundle.rpartition('/')[2]}",
            "(its README.txt says how to install ernie-deploy itself from it)",
        ]
    )


def installed(result: Result[InstalledBundle]) -> str:
    """`bundle install`: what is in place, and the next command."""
    data = result.payload
    return "\n".join(
        [
            f"installed {data.bundle}, made on {data.created_at}, in {duration_text(data.seconds)}",
            f"  engine   {_engine(data.engine)}{_there(data.new_engine)}: {data.engine_folder}",
            f"  model    {data.model}{_there(data.new_model)}: {data.model_folder}",
            f"  profile  {data.profile}",
            f"next: ernie-deploy up {data.profile}",
        ]
    )


def _engine(engine: BundleEngine) -> str:
    build = f" ({engine.arch})" if engine.arch else ""
    return (
        f"{engine.name} {engine.version}{build}, Python {engine.python_version}, {engine.machine}"
    )


def _there(new: bool) -> str:
    return "" if new else " (was there already)"

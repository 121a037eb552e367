"""The `profiles` verbs as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from launcher.environments.payloads import ReleaseChanges
from launcher.json_values import JsonObject, JsonValue, is_list
from launcher.preparation.new_profile import NewProfile
from launcher.profile.model import Origin
from launcher.report.payloads import ProfileList, ProfileSchema, ShownProfile
from launcher.result import Result


def listing(result: Result[ProfileList]) -> str:
    """`profiles list`: what can be started, then what cannot and why."""
    rows = result.payload.profiles
    valid = [
        ((row.file, row.facts.engine, str(row.facts.model)), row.facts.description)
        for row in rows
        if row.facts is not None
    ]
    widths = [max((len(cells[i]) for cells, _ in valid), default=0) for i in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        + f"  {description or ''}".rstrip()
        for cells, description in valid
    ]
    lines += [f"{row.file}: no profile by itself: {row.problem}" for row in rows if row.problem]
    return "\n".join(lines) or "no profiles here"


def show(result: Result[ShownProfile]) -> str:
    """`profiles show`: the resolved profile as YAML, with its origins as comments."""
    import yaml

    data = result.payload
    lines = [f"# note: {line}" for note in data.notes for line in note.split("\n")]
    if data.origins is None:
        text = yaml.safe_dump(
            _plain(data.profile), sort_keys=False, allow_unicode=True, default_flow_style=False
        )
        return "\n".join([*lines, text])
    written = list(_lines(data.profile, data.origins, "", ""))
    width = min(max((len(line) for line, origin in written if origin), default=0), 60)
    lines += [f"{line.ljust(width)}  # {origin}" if origin else line for line, origin in written]
    return "\n".join(lines)


def schema(result: Result[ProfileSchema]) -> str:
    """`profiles schema`: the JSON Schema and nothing else, to be redirected to a file."""
    return json.dumps(result.payload.schema, ensure_ascii=False, indent=2)


def init(result: Result[NewProfile]) -> str:
    """`profiles init`: the profile for stdout; for a file its name, the notes and the next step."""
    data = result.payload
    if data.file is None:
        return data.text.rstrip("\n")
    notes = [f"note: {note}" for note in data.notes]
    return "\n".join([f"wrote {data.file}", *notes, f"next: ernie-deploy validate {data.file}"])


def diff_release(result: Result[ReleaseChanges]) -> str:
    """`profiles diff-release`: one line per change, grouped by kind."""
    data = result.payload
    head = f"{result.instance}: FastDeploy {data.old} to {data.new}"
    parts = (
        (data.gone, "no longer there"),
        (data.added, "new"),
        (data.renamed, "spelled differently"),
        (data.defaults, "default moved"),
        (data.behaviour, "behaves differently"),
        (data.notes, "note"),
    )
    lines = [f"  {called}: {entry}" for entries, called in parts for entry in entries]
    return "\n".join([f"{head}:", *lines] if lines else [f"{head}: nothing changes"])


def _lines(
    values: JsonObject, origins: Mapping[str, Origin], path: str, indent: str
) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        key = f"{indent}{_flow(name)}:"
        if isinstance(value, Mapping) and value:
            yield key, ""
            yield from _lines(value, origins, here, f"{indent}  ")
        else:
            yield f"{key} {_flow(value)}", _origin(origins.get(here))


def _flow(value: JsonValue) -> str:
    """The value as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(
        _plain(value),
        default_flow_style=True,
        allow_unicode=True,
        width=float("inf"),
        sort_keys=False,
    )
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")


def _plain(value: JsonValue) -> JsonValue:
    """The value with the mappings and lists that YAML's safe writer knows."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if is_list(value) else value


def _origin(origin: Origin | None) -> str:
    if origin is None:
        return ""
    source = origin.source
    if origin.line is not None:
        source = f"{source}:{origin.line}:{origin.column}"
    return f"{source} ({origin.note})" if origin.note else source

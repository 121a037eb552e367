"""The documented architecture holds: one direction of imports, also inside functions."""

import re

from tests.support import ROOT
from tests.support.imports import imported, modules

SHARED = (
    "codec",
    "errors",
    "files",
    "json_values",
    "lifecycle",
    "log_records",
    "nearest",
    "numbers",
    "redact",
    "plain",
    "paths",
    "result",
    "subprocesses",
)
ROOMS = (
    "profile",
    "liveness",
    "plan",
    "host",
    "engines",
    "environments",
    "weights",
    "probe",
    "preparation",
    "doctor",
    "diagnose",
    "keeper",
    "instance",
    "door",
    "observe",
    "render",
    "smoke",
    "service",
    "drill",
    "bench",
    "card",
    "report",
    "cli",
)
"""Each may import those before it."""
NO_ROOM = ("", "__version__")
TOP = ("launcher.__main__", "launcher.entry", "launcher.pytest_plugin")
"""Entry points: they may import any room, and no room imports them."""


def room(name: str) -> str:
    return [*name.split("."), ""][1]


def test_a_room_imports_those_before_it_and_none_after_it() -> None:
    back = []
    count = 0
    for module, path in modules():
        if module in ("launcher", *TOP):
            continue
        here = room(module)
        for name, line in imported(path):
            there = room(name)
            if name.split(".")[0] != "launcher" or there in (here, *SHARED, *NO_ROOM):
                continue
            count += 1
            late = here in SHARED or ROOMS.index(there) > ROOMS.index(here)
            if late:
                back.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not back
    assert count > 200


def test_every_room_is_listed() -> None:
    folders = {p.parent.name for p in (ROOT / "launcher").glob("*/__init__.py")}
    assert folders == set(ROOMS)
    files = {p.stem for p in (ROOT / "launcher").glob("*.py")} - {"__init__"}
    assert files == {*SHARED, *(room(name) for name in TOP)}


def test_the_architecture_page_has_the_rooms_in_this_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert tuple(re.findall(r"^\| `launcher/([a-z]+)/` \|", text, re.MULTILINE)) == ROOMS


def test_the_command_line_leaves_decisions_to_the_rooms() -> None:
    """A verb's file imports what it calls: no engine by name, and of the keeper what it can ask."""
    inside = []
    for module, path in modules("launcher/cli"):
        for name, line in imported(path):
            is_request = name.startswith("launcher.keeper.requests.")
            if room(name) in ("engines", "host", "keeper") and not is_request:
                inside.append(f"{module}:{line} imports {name}")
    assert not inside

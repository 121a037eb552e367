"""The options of `up` that no profile holds: kept beside the instance, for `restart NAME`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from launcher import files
from launcher.codec import decode
from launcher.instance.store import InstanceDir
from launcher.keeper.state import DamagedState

FILE = "options.json"


@dataclass(frozen=True)
class StartOptions:
    """`force`: the doctor checks of `--force`, as given; `foreground`: the keeper was `up` itself.

    `--overlay`, `--set` and `--name` need no record: the resolved profile holds what they made.
    """

    force: tuple[str, ...] = ()
    foreground: bool = False


def read_options(instance: InstanceDir) -> StartOptions:
    """The options of the last start; for an instance of an older release, what its state holds."""
    try:
        text = files.read_text(instance.folder / FILE)
        return decode(StartOptions, json.loads(text), FILE, tolerant=True)
    except (OSError, ValueError, RecursionError):
        pass
    try:
        state = instance.state()
    except DamagedState:
        state = None
    return StartOptions(tuple(state.forced) if state else ())

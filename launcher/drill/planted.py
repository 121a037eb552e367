"""Faults that an engine under test plays by itself: a stand-in for tests declares them.

An engine that can play faults writes `drill-faults` into its temporary folder (TMPDIR) when it
starts: one name a line, of `NAMES`. As long as there is a file `drill-fault` with such a name, it
plays that fault. A real engine declares none, and the scenarios are not applicable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher import files
from launcher.drill.undo import Undo, Unlink, undone
from launcher.errors import PreconditionError

DECLARED, CONTROL = "drill-faults", "drill-fault"
"""Names of the two files in the engine's temporary folder."""


@dataclass(frozen=True)
class FaultControl:
    """The faults of one running engine."""

    folder: str

    @property
    def names(self) -> tuple[str, ...]:
        """What it declares; empty for a real engine."""
        try:
            return tuple(files.read_text(Path(self.folder, DECLARED)).split())
        except (OSError, UnicodeDecodeError):
            return ()

    @contextmanager
    def planted(self, name: str, undo: Undo) -> Iterator[None]:
        """Have the engine play `name` in the block.

        Raises:
            PreconditionError: another drill's fault is planted already.
        """
        path = Path(self.folder, CONTROL)
        if path.exists():
            raise PreconditionError.of(
                "drill-running", "a fault is planted already", str(path),
                "wait for the other drill; where none runs, remove the file",
            )  # fmt: skip
        with undone(undo, Unlink(str(path))):
            part = Path(self.folder, f"{CONTROL}.{os.getpid()}")
            part.write_text(name, encoding="ascii")
            part.rename(path)
            yield

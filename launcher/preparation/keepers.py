"""Which processes are keepers: their command line ends with the folder of their instance."""

from __future__ import annotations

from launcher.host import processes

KEEPER = ("-m", "launcher.keeper")
"""Ends the command line of a keeper, in front of the instance's folder."""


def kept_folder(pid: int) -> str | None:
    """The folder of the instance whose keeper this process is; None where it is not a keeper."""
    argv = processes.argv(pid)
    return argv[-1] if len(argv) > 2 and tuple(argv[-3:-1]) == KEEPER else None

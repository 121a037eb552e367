"""The systemd unit of one instance: its text, its name, and where it lies.

The keeper restarts the engine by the profile's policy, and ends with a documented exit code when
that gives up. systemd starts it again only where the keeper itself was lost, or where a
precondition may be met a little later after a boot (a driver, a disk, a port).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher import files, paths

MARK = "# Written by `ernie-deploy enable`; `ernie-deploy disable` removes it."
"""The first line of every unit that is ours."""
WATCHDOG = 30
"""Seconds without a sign of life after which systemd replaces the keeper."""
RESTART_DELAY = 5
MOST_STARTS, IN_SECONDS = 5, 600
"""Starts in that time after which systemd gives up, as the keeper does with its engine."""
LONGEST_UNIT = 64 * 1024
_HEAD = re.compile(r"^# (home|order): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class UnitPlace:
    """The folder of the units of one manager: the system's, or the user's own."""

    system: bool
    folder: Path

    @property
    def target(self) -> str:
        """The target that starts at boot."""
        return "multi-user.target" if self.system else "default.target"

    @property
    def scope(self) -> Literal["system", "user"]:
        """`system` or `user`."""
        return "system" if self.system else "user"

    def unit(self, name: str) -> Path:
        """The file of an instance's unit."""
        return self.folder / unit_name(name)

    def is_enabled(self, name: str) -> bool:
        """True where systemd starts the unit at boot."""
        return os.path.lexists(self.folder / f"{self.target}.wants" / unit_name(name))


def unit_name(name: str) -> str:
    """The unit of the instance with this name."""
    return f"ernie-deploy-{name}.service"


def places(environ: Mapping[str, str]) -> tuple[UnitPlace, UnitPlace]:
    """The system's folder and the user's."""
    config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return (
        UnitPlace(True, Path("/etc/systemd/system")),
        UnitPlace(False, Path(config, "systemd", "user")),
    )


@dataclass(frozen=True)
class Header:
    """What a unit of ours says of itself: whose state directory, and its place in the order."""

    home: str
    order: int


def read_header(path: Path) -> Header | None:
    """The header of a unit; None where it is missing or not ours."""
    try:
        text = files.read_input(path, LONGEST_UNIT, 1.0).decode()
    except (OSError, UnicodeDecodeError):
        return None
    if not text.startswith(f"{MARK}\n"):
        return None
    fields = dict(_HEAD.findall(text))
    order = fields.get("order", "")
    return Header(fields.get("home", ""), int(order) if order.isdigit() else 0)


def ordered(unit_place: UnitPlace) -> list[tuple[int, str]]:
    """The units of ours in that folder, (order, file name), first enabled first."""
    units = []
    for path in sorted(unit_place.folder.glob("ernie-deploy-*.service")):
        header = read_header(path)
        if header is not None:
            units.append((header.order, path.name))
    return sorted(units)


def enabled_scope(name: str) -> Literal["system", "user"] | None:
    """`system` or `user` where systemd starts this instance at boot; None where it does not."""
    for unit_place in places(os.environ):
        if unit_place.is_enabled(name):
            header = read_header(unit_place.unit(name))
            if header is not None and header.home == str(paths.home()):
                return unit_place.scope
    return None


class Specifier(str):
    """A word of ExecStart in which `%` begins a specifier of systemd (`%i`); it has no `$`."""


@dataclass(frozen=True)
class UnitText:
    """What goes into a unit; times are seconds, `after` are units that start before it.

    `head` are its first lines. `service` are further lines of the section Service. `part_of` is
    the target that the unit starts and stops with, instead of the boot's own.
    """

    name: str
    head: Sequence[str]
    system: bool
    argv: Sequence[str]
    env: Mapping[str, str]
    env_file: str | None
    after: Sequence[str]
    start_timeout: float
    stop_timeout: float
    service: Sequence[str] = ()
    part_of: str | None = None

    def text(self) -> str:
        """The unit's file."""
        after = ["network-online.target", *self.after]
        boot_target = "multi-user.target" if self.system else "default.target"
        lines = [
            *self.head,
            "[Unit]",
            f"Description=ERNIE model server {self.name} (ernie-deploy)",
            "Wants=network-online.target",
            f"After={' '.join(after)}",
            *([f"PartOf={self.part_of}"] if self.part_of else []),
            f"StartLimitIntervalSec={IN_SECONDS}",
            f"StartLimitBurst={MOST_STARTS}",
            "",
            "[Service]",
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={' '.join(quoted(word) for word in self.argv)}",
            "WorkingDirectory=/",
            *(f"Environment={_assigned(name, value)}" for name, value in self.env.items()),
            *([f"EnvironmentFile=-{_path(self.env_file)}"] if self.env_file else []),
            "# While the engine loads, the keeper extends the start timeout and has its own.",
            f"TimeoutStartSec={self.start_timeout:.0f}",
            f"WatchdogSec={WATCHDOG}",
            "# The keeper stops the engine by its policy; what is left after that is killed.",
            "KillMode=mixed",
            f"TimeoutStopSec={self.stop_timeout:.0f}",
            *restart_lines(),
            "# The engine gets a cgroup of its own below that of the unit.",
            "Delegate=yes",
            "UMask=0077",
            *self.service,
            "",
            "[Install]",
            f"WantedBy={self.part_of or boot_target}",
        ]
        return "\n".join(lines) + "\n"


def enable_head(home: str, order: int) -> tuple[str, ...]:
    """The first lines of a unit that `enable` writes; `read_header` reads them."""
    return (MARK, f"# home: {home}", f"# order: {order}")


def restart_lines(*exit_codes: int) -> tuple[str, ...]:
    """When systemd starts the keeper again; `exit_codes` beyond those of every unit."""
    codes = " ".join(str(code) for code in (3, 70, *exit_codes))
    return (
        "# A lost keeper, a precondition that may be met later (3) and a defect (70).",
        "Restart=on-abnormal",
        f"RestartForceExitStatus={codes}",
        f"RestartSec={RESTART_DELAY}",
    )


def quoted(word: str) -> str:
    """A word of ExecStart, taken by systemd as it is."""
    if isinstance(word, Specifier):
        return f'"{word}"'
    return _in_quotes(word.replace("$", "$$"))


def _assigned(name: str, value: str) -> str:
    return _in_quotes(f"{name}={value}")


def _path(text: str) -> str:
    return text.replace("%", "%%")


def _in_quotes(text: str) -> str:
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("%", "%%")):
        text = text.replace(character, escape)
    return f'"{text}"'

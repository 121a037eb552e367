"""`enable` and `disable`: whether systemd starts an instance when the machine boots."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import launcher
from launcher import files, paths, subprocesses
from launcher.errors import DeployError, PreconditionError
from launcher.instance import systemd_unit
from launcher.instance.show import show_plan
from launcher.instance.systemd_unit import UnitPlace, UnitText, read_header, unit_name
from launcher.keeper.engine_stop import MARGIN, longest_stop
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from launcher.profile.variables import escape_variables
from launcher.result import Result

BOOTED = "/run/systemd/system"
"""It exists where systemd is the first process (sd_booted(3))."""
LINGER = "/var/lib/systemd/linger"
"""Has a file for each user whose services run without a login."""
START_MARGIN = 60.0
"""Seconds beyond the keeper's own deadline of a start, so that the keeper says why it missed it."""
SYSTEMCTL_DEADLINE = 60.0
KEPT_VARIABLES = ("ERNIE_DEPLOY_HOME", "XDG_STATE_HOME", "PATH")
"""What the unit sets as it is now; everything else comes from systemd, or from the profile."""


@dataclass(frozen=True)
class Boot:
    """`enable` and `disable`. `notes` say what is left to do."""

    enabled: bool
    unit: str | None = None
    path: str | None = None
    scope: str | None = None
    profile: str | None = None
    after: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def enable(profile: Profile, *, system: bool | None, force: tuple[str, ...] = ()) -> Result[Boot]:
    """Write the unit of the profile's instance and let systemd start it at boot.

    The profile is kept as it is now, resolved; a later change needs another `enable`. `system` is
    None for the system's units as root, and for the user's own as anybody else. `force` names
    doctor checks that `up` may override.

    Raises:
        PreconditionError: systemd is missing, or a unit of this name is not ours.
        DeployError: what would keep `up` from starting, as far as it can be known now.
    """
    unit_place = _unit_place(system)
    unit, home = unit_place.unit(profile.name), paths.home()
    header = read_header(unit)
    _check_ours(unit, str(home))
    plan = show_plan(profile).payload.plan
    earlier = systemd_unit.ordered(unit_place)
    order = header.order if header else max((n for n, _ in earlier), default=0) + 1
    after = tuple(name for number, name in earlier if number < order and name != unit.name)
    folder = home / "boot"
    kept, env_file = folder / f"{profile.name}.yaml", folder / f"{profile.name}.env"
    variables = _secret_variables(plan)
    argv = [sys.executable, "-m", "launcher", "up", str(kept), "--foreground"]
    argv += [word for check in force for word in ("--force", check)]
    text = UnitText(
        name=profile.name,
        head=systemd_unit.enable_head(str(home), order),
        system=unit_place.system,
        argv=argv,
        env=_environment(os.environ),
        env_file=str(env_file) if variables else None,
        after=after,
        start_timeout=plan.deadlines.startup + START_MARGIN,
        stop_timeout=longest_stop(plan.stop, None) + MARGIN,
    ).text()
    before = [(path, _content(path)) for path in (kept, unit)]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unit_place.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.write_atomically(kept, json.dumps(escape_variables(profile.resolved), indent=1))
        files.write_atomically(unit, text)
        _systemctl(unit_place, "daemon-reload")
        _systemctl(unit_place, "enable", unit.name)
    except OSError as error:
        _restore(before)
        raise _not_written(unit, error) from None
    except PreconditionError:
        _restore(before)
        raise
    notes = _notes(unit_place, profile.name, env_file, variables)
    data = Boot(True, unit.name, str(unit), unit_place.scope, str(kept), after, notes)
    return Result("enable", data, profile.name)


def disable(name: str, *, system: bool | None) -> Result[Boot]:
    """Remove what `enable` wrote; an instance that runs goes on.

    Raises:
        PreconditionError: systemd is missing, or a unit of this name is not ours.
    """
    unit_place = _unit_place(system)
    unit, home = unit_place.unit(name), paths.home()
    if not os.path.lexists(unit):
        note = f"{name} has no {unit_place.scope} unit"
        other_scope = next(
            p for p in systemd_unit.places(os.environ) if p.system != unit_place.system
        )
        if read_header(other_scope.unit(name)) is not None:
            scope = other_scope.scope
            note += f"; it has one of the {scope}: `ernie-deploy disable --{scope} ...`"
        return Result("disable", Boot(False, scope=unit_place.scope, notes=(note,)), name)
    _check_ours(unit, str(home))
    _systemctl(unit_place, "disable", unit.name)
    kept, env_file = home / "boot" / f"{name}.yaml", home / "boot" / f"{name}.env"
    try:
        unit.unlink(missing_ok=True)
        kept.unlink(missing_ok=True)
    except OSError as error:
        raise _not_written(unit, error) from None
    _systemctl(unit_place, "daemon-reload")
    notes = (f"{env_file} is yours and stays",) if env_file.exists() else ()
    return Result("disable", Boot(False, unit.name, str(unit), unit_place.scope, notes=notes), name)


def _unit_place(system: bool | None) -> UnitPlace:
    if not os.path.isdir(BOOTED) or shutil.which("systemctl") is None:
        raise PreconditionError.of(
            "no-systemd",
            "this machine was not booted with systemd, so no unit can start an instance at boot",
            BOOTED,
            "let what starts the machine's services run `ernie-deploy up PROFILE --foreground`; in "
            "a container, make it the container's command",
        )
    as_system = os.geteuid() == 0 if system is None else system
    return next(p for p in systemd_unit.places(os.environ) if p.system == as_system)


def _check_ours(unit: Path, home: str) -> None:
    if not os.path.lexists(unit):
        return
    header = None if unit.is_symlink() else read_header(unit)
    if header is None:
        raise PreconditionError.of(
            "unit-not-ours", f"{unit} was not written by `ernie-deploy enable`", str(unit),
            "remove it or rename it, or give the instance another name",
        )  # fmt: skip
    if header.home != home:
        raise PreconditionError.of(
            "unit-not-ours",
            f"{unit} is of an instance in another state directory, {header.home}", str(unit),
            f"disable that one first: `ERNIE_DEPLOY_HOME={header.home} ernie-deploy disable NAME`",
        )  # fmt: skip


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a start at boot needs; none of them is a secret."""
    env = {name: environ[name] for name in KEPT_VARIABLES if environ.get(name)}
    # The checkout or site-packages that holds us, however this process found it.
    env["PYTHONPATH"] = str(Path(launcher.__file__).resolve().parent.parent)
    return env


def _secret_variables(plan: LaunchPlan) -> list[str]:
    """The variables that the plan's secrets are read from at start."""
    kinds = (reference.partition(":") for reference in plan.secrets.values())
    return sorted({name for kind, _, name in kinds if kind == "env"})


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _restore(before: list[tuple[Path, bytes | None]]) -> None:
    """Files as they were before an `enable` that failed."""
    for path, content in before:
        if content is None:
            path.unlink(missing_ok=True)
        else:
            files.write_atomically(path, content.decode())


def _notes(
    unit_place: UnitPlace, name: str, env_file: Path, variables: list[str]
) -> tuple[str, ...]:
    notes = []
    if variables and not env_file.exists():
        names = ", ".join(variables)
        notes.append(f"its secrets need {names}: write NAME=VALUE lines to {env_file} (mode 0600)")
    user = _user()
    if not unit_place.system and not os.path.exists(os.path.join(LINGER, user)):
        notes.append(
            f"units of a user start at the first login: `loginctl enable-linger {user}` makes that "
            "the boot"
        )
    option = "" if unit_place.system else " --user"
    notes.append(
        f"it runs under systemd from the next boot on; now: `ernie-deploy down {name} && "
        f"systemctl{option} start {unit_name(name)}`"
    )
    return tuple(notes)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _systemctl(unit_place: UnitPlace, *arguments: str) -> None:
    argv = ["systemctl", *([] if unit_place.system else ["--user"]), *arguments]
    try:
        output = subprocesses.run(argv, deadline=SYSTEMCTL_DEADLINE)
        problem = output.complaint or f"exit code {output.returncode}"
        failed = output.returncode != 0
    except OSError as error:
        problem, failed = str(error), True
    if failed:
        raise PreconditionError.of(
            "systemctl-failed", f"`{' '.join(argv)}` failed: {problem}", None,
            "over ssh or su, units of a user need a session of their own: `machinectl shell USER@`",
        )  # fmt: skip


def _not_written(unit: Path, error: OSError) -> DeployError:
    return PreconditionError.of(
        "unit-not-writable", f"{error.filename or unit}: {error.strerror}", str(unit),
        "the system's units are root's: `sudo`, or `--user` for a unit of your own",
    )  # fmt: skip

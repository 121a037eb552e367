"""Where ernie-deploy keeps things, and where it finds the data it ships.

State: `$ERNIE_DEPLOY_HOME`, else `$XDG_STATE_HOME/ernie-deploy`, else
`~/.local/state/ernie-deploy`; mode 0700.

    instances/<name>/    one started plan: profile, plan, state, events, logs, lock, socket
    engines/<name>-<v>/  one virtual environment per installed engine release
    models/<hub>/        pulled models (launcher/weights/store.py)
    profiles/            profiles that came in bundles
    cache/               answers that are slow to ask again (engine flags per version)
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from launcher import files
from launcher.errors import PreconditionError, Problem

CONSOLE = "engine.log"
"""What an engine prints, captured in its instance's `logs/`; rotated ones end in `.1`, `.2`."""


def home() -> Path:
    """The state directory; not created here.

    Raises:
        PreconditionError: it is in the home of a user whom this machine does not know, as in a
            container that runs under a number.
    """
    chosen = os.environ.get("ERNIE_DEPLOY_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        state = os.environ.get("XDG_STATE_HOME")
        base = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        whose = f"of the uid {os.getuid()}" if not chosen else f"that {chosen!r} names"
        problem = Problem(
            "state-not-readable",
            f"the state cannot be kept: the home directory {whose} is not known here",
            "ERNIE_DEPLOY_HOME" if chosen else "HOME",
            "set ERNIE_DEPLOY_HOME to a folder of yours",
        )
        raise PreconditionError(problem) from None
    return base / "ernie-deploy"


def instances() -> Path:
    """The folder that holds one directory per instance.

    Raises:
        PreconditionError: the state directory cannot be looked into.
    """
    check_readable(home())
    return home() / "instances"


def services() -> Path:
    """The folder that holds one directory per service.

    Raises:
        PreconditionError: the state directory cannot be looked into.
    """
    check_readable(home())
    return home() / "services"


def engines() -> Path:
    """The folder that holds the engines' virtual environments.

    Raises:
        PreconditionError: the state directory cannot be looked into.
    """
    check_readable(home())
    return home() / "engines"


def cache() -> Path:
    """Answers that can be thrown away at any time."""
    return home() / "cache"


def check_readable(folder: Path) -> bool:
    """True where a folder of the state can be read, False where it is not there.

    Raises:
        PreconditionError: it is another user's, or no folder.
    """
    try:
        os.scandir(folder).close()
        os.stat(folder / ".")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_readable(folder, error) from None
    return True


def _not_readable(folder: Path, error: OSError) -> PreconditionError:
    """Which part of the path keeps us out, whose it is, and who may read it."""
    at = Path(folder.anchor)
    info = at.stat()
    for part in (*reversed(folder.parents), folder):
        try:
            info = part.stat()
        except OSError:
            break  # the part before it cannot be entered
        at = part
    advice = "set ERNIE_DEPLOY_HOME to a folder of yours"
    if not stat.S_ISDIR(info.st_mode):
        return PreconditionError(
            Problem("state-not-readable", f"{at} is not a folder", str(at), advice)
        )
    if info.st_uid == os.getuid():
        remedy = f"`chmod u+rwx {at}`, or {advice}"
    else:
        remedy = f"run it as {_user(info.st_uid)}, the owner of {at}; or {advice}"
    message = f"the state in {folder} cannot be read: {error.strerror}"
    return PreconditionError(Problem("state-not-readable", message, str(at), remedy))


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user with the number {number}"


def private_folder(path: Path) -> Path:
    """Make `path` and its missing parents with mode 0700 and return it."""
    missing = []
    probe = path
    while not probe.exists():
        missing.append(probe)
        probe = probe.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def shipped(*parts: str) -> Path:
    """A file or folder that travels with the code: `profiles/...`, `deploy/runbooks/...`.

    In a checkout these lie beside `launcher/`; a wheel carries them as `launcher/_shipped/`.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_shipped"
    base = packaged if packaged.is_dir() else package.parent
    return base.joinpath(*parts)


def write_file(path: Path, text: str | None) -> None:
    """Write a user's file whole or not at all; with None only try whether that would work.

    Symbolic links are followed. What is not a regular file (`/dev/stdout`, a pipe) is written to
    and never replaced: root would put a file in the place of the device.

    Raises:
        OSError: it cannot be written.
    """
    try:
        is_special = not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        is_special = False
    if is_special or str(path.absolute()).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        # A pipe without a reader is an error here, and nothing to wait for.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        with open(descriptor, "w", encoding="utf-8") as stream:
            os.set_blocking(descriptor, True)
            stream.write(text or "")
        return
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name[:200]}.{os.urandom(6).hex()}")
    if text is not None:
        files.write_through(temporary, path, text, mode=0o666)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    os.close(os.open(temporary, flags, 0o666))
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()


def write_private(path: Path, text: str, what: str) -> None:
    """Replace a file of the state by `text`, mode 0600, its folder 0700; `what` is its name.

    Raises:
        PreconditionError: `state-not-writable`.
    """
    try:
        private_folder(path.parent)
        files.write_atomically(path, text)
    except OSError as error:
        raise PreconditionError.of(
            "state-not-writable", f"{what} cannot be written: {error.strerror or error}",
            str(path), "free some disk space",
        ) from None  # fmt: skip

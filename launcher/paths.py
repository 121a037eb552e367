"""Where ernie-deploy keeps things, and where it finds the data it ships.

State: `$ERNIE_DEPLOY_HOME`, else `$XDG_STATE_HOME/ernie-deploy`, else
`~/.local/state/ernie-deploy`; mode 0700.

    instances/<name>/    one started plan: profile, plan, state, events, logs, lock, socket
    engines/<name>-<v>/  one virtual environment per installed engine release
    cache/               answers that are slow to ask again (engine flags per version)
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The state directory; not created here."""
    chosen = os.environ.get("ERNIE_DEPLOY_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else Path.home() / ".local" / "state"
    return base / "ernie-deploy"


def instances() -> Path:
    """The folder that holds one directory per instance."""
    return home() / "instances"


def engines() -> Path:
    """The folder that holds the engines' virtual environments."""
    return home() / "engines"


def cache() -> Path:
    """Answers that can be thrown away at any time."""
    return home() / "cache"


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

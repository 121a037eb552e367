"""Every shipped profile rendered to every target: what `deploy/examples/` holds.

    python -m tests.render.examples

writes them anew, after a change of a profile or of a renderer.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from launcher import profile as profiles
from launcher.profile.model import Profile
from launcher.render.rendering import Rendered, render
from launcher.render.targets import TARGETS
from tests.support import ROOT

FOLDER = ROOT / "deploy" / "examples"
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))
MODEL = "model=/srv/models/tiny-ernie"
"""Instead of the checkout's own folder, whose path differs from machine to machine."""


def load(path: Path, *sets: str, name: str | None = None) -> Profile:
    """A shipped profile as the examples use it; no weights are needed."""
    loaded = profiles.load(path, sets=list(sets), name=name, environ={}, need_model=False)
    if not Path(loaded.model).is_relative_to(ROOT):
        return loaded
    return profiles.load(path, sets=[MODEL, *sets], name=name, environ={}, need_model=False)


def examples() -> Iterator[tuple[Path, Rendered]]:
    """Each folder and what belongs into it."""
    for path in SHIPPED:
        for target in TARGETS:
            yield FOLDER / path.stem / target, render(target, load(path))


def main() -> None:
    """Write all, and remove what is not rendered any more."""
    all_rendered = list(examples())
    for folder in (one for one in FOLDER.glob("*") if one.is_dir()):
        shutil.rmtree(folder)
    for folder, rendered in all_rendered:
        for one in rendered.files:
            path = folder / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one.text)


if __name__ == "__main__":
    main()

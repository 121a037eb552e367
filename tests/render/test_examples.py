"""`deploy/examples/` is what `render` writes today, and `render` writes the same every time."""

import os
import subprocess
import sys

from launcher.render.rendering import render
from launcher.render.targets import TARGETS
from tests.render.examples import FOLDER, SHIPPED, examples, load
from tests.support import ROOT

FRESH = "run `python -m tests.render.examples`"


def test_the_examples_are_what_render_writes() -> None:
    expected = {
        str((folder / one.path).relative_to(FOLDER)): one.text
        for folder, rendered in examples()
        for one in rendered.files
    }
    existing = {
        str(path.relative_to(FOLDER)): path.read_text()
        for path in FOLDER.rglob("*")
        if path.is_file() and path != FOLDER / "README.md"
    }
    assert sorted(existing) == sorted(expected), FRESH
    assert [name for name, text in expected.items() if existing[name] != text] == [], FRESH


def test_no_example_names_the_checkout_it_was_written_in() -> None:
    rendered = [one for _, result in examples() for one in result.files]
    assert [one.path for one in rendered if str(ROOT) in one.text] == []


def test_every_shipped_profile_and_every_target_is_there() -> None:
    assert len(SHIPPED) > 10
    for path in SHIPPED:
        assert {one.name for one in (FOLDER / path.stem).iterdir()} == set(TARGETS)


def test_the_bytes_depend_on_nothing_but_the_profile() -> None:
    """Another process, hash seed, folder, language and state directory: the same bytes."""
    path = SHIPPED[0]
    env = {
        **os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "LANG": "C",
        "ERNIE_DEPLOY_HOME": "/nonexistent", "HOME": "/nonexistent", "CUDA_VISIBLE_DEVICES": "3",
    }  # fmt: skip
    for target in TARGETS:
        ran = subprocess.run(
            [sys.executable, "-m", "launcher", "render", target, str(path)],
            cwd="/", env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        here = render(target, load(path))
        assert ran.stdout == "\n".join(f"# file: {one.path}\n{one.text}" for one in here.files)

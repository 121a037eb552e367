"""Puts what lies beside `launcher/` in a checkout into the wheel: `launcher/_shipped/`.

Everything else about the package is in pyproject.toml.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("profiles", "deploy/requirements", "deploy/runbooks", "deploy/monitoring/rules")
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


class BuildWithShipped(build_py):
    """build_py, and then the data that `launcher.paths.shipped` looks for."""

    def run(self) -> None:
        """Build, then copy; an editable install reads the checkout itself."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "launcher" / "_shipped"
        # A file that was deleted in the checkout must not come back from an old build folder.
        shutil.rmtree(target, ignore_errors=True)
        for part in SHIPPED:
            shutil.copytree(ROOT / part, target / part, ignore=NOT_SHIPPED)


setup(cmdclass={"build_py": BuildWithShipped})

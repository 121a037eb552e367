"""What `pip install .` brings is what the code imports: nothing missing, nothing for nothing."""

import re
import sys
from importlib import metadata

from tests.support import ROOT
from tests.support.imports import imported, modules

PYPROJECT = (ROOT / "pyproject.toml").read_text()
# The engines' own packages and the optional ones, asked for where they are needed and only there.
OPTIONAL = {"openai", "anthropic", "pynvml", "pytest"}


def declared() -> set[str]:
    block = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert block
    return {name.lower() for name in re.findall(r'^ *"([A-Za-z0-9_-]+)', block[1], re.MULTILINE)}


def used() -> dict[str, str]:
    """Each third-party package that launcher/ imports, with one place that does."""
    found: dict[str, str] = {}
    for _, path in modules():
        for name, line in imported(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "launcher":
                found.setdefault(top, f"{path.relative_to(ROOT)}:{line}")
    return found


def test_the_dependencies_are_what_the_code_imports() -> None:
    owners = metadata.packages_distributions()
    needed = {owners[top][0].lower() for top in used() if top not in OPTIONAL}
    assert needed == declared()

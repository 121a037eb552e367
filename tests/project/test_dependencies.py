"""What `pip install .` brings is what the code imports: nothing missing, nothing for nothing."""

import re
import sys
from importlib import metadata

from tests.support import ROOT
from tests.support.imports import imported, modules

PYPROJECT = (ROOT / "pyproject.toml").read_text()
# The engines' own packages and the optional ones, asked for where they are needed and only there.
OPTIONAL = {
    "openai", "anthropic", "pynvml", "pytest", "textual", "rich",
    # `launcher/weights/hub_client.py` runs in the environment of the hubs' clients.
    "huggingface_hub", "modelscope_hub", "aistudio_sdk",
    # `launcher/engines/gateway/hooks/` runs in the environment of the gateway.
    "litellm",
    # `launcher/bench/ask_optuna.py` runs in the environment of the load generator.
    "optuna",
    # `launcher/report/plots/draw.py` runs in an environment that has it.
    "matplotlib",
}  # fmt: skip


def declared() -> set[str]:
    block = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)
    assert block
    return {name.lower() for name in re.findall(r'^ *"([A-Za-z0-9_-]+)', block[1], re.MULTILINE)}


def used() -> dict[str, str]:
    """Each third-party package that launcher/ imports, with one place that does."""
    names: dict[str, str] = {}
    for _, path in modules():
        for name, line in imported(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "launcher":
                names.setdefault(top, f"{path.relative_to(ROOT)}:{line}")
    return names


def provided(distribution: str) -> set[str]:
    """The top-level modules that an installed distribution brings, by its list of files.

    `metadata.packages_distributions` answers differently from one Python to the next for wheels
    without `top_level.txt`, and lists two owners where two distributions share a name.
    """
    names = set()
    for file in metadata.files(distribution) or ():
        if file.suffix in (".py", ".so") and ".." not in file.parts:
            names.add(file.parts[0].partition(".")[0])
    return names


def test_the_dependencies_are_what_the_code_imports() -> None:
    needed = {top: where for top, where in used().items() if top not in OPTIONAL}
    modules_of = {name: provided(name) for name in declared()}
    missing = needed.keys() - set().union(*modules_of.values())
    assert not missing, {top: needed[top] for top in missing}
    unused = [name for name, names in modules_of.items() if not names & needed.keys()]
    assert not unused

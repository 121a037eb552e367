"""The pre-commit hooks are the project's own tools, and name nothing that has to be downloaded."""

import re

import yaml

from tests.support import ROOT
from tests.support.decoded import JsonDict

TEXT = (ROOT / ".pre-commit-config.yaml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
(REPO,) = yaml.safe_load(TEXT)["repos"]
HOOKS: dict[str, JsonDict] = {hook["id"]: hook for hook in REPO["hooks"]}


def test_no_hook_comes_from_another_host() -> None:
    assert REPO["repo"] == "local"
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}
    assert "://" not in TEXT


def test_the_hooks_run_what_make_lint_runs() -> None:
    """A commit that passes the hooks passes the linters of CI, from the same environment."""
    recipe = MAKEFILE.partition("\nlint: ")[2].partition("\n\n")[0]
    linters = {line.split("/", 1)[1].split()[0] for line in recipe.splitlines()[1:]}
    commands = [hook["entry"].split() for hook in HOOKS.values()]
    assert linters == {"ruff", "mypy", "python"}
    assert linters <= {command[0].removeprefix(".venv/bin/") for command in commands}
    assert all(command[0].startswith(".venv/bin/") for command in commands)


def test_the_hook_of_the_codes_health_runs_the_files_of_make_lint() -> None:
    (names,) = re.findall(r"^HEALTH := \$\(addprefix (\S+?),(.+)\)$", MAKEFILE, re.MULTILINE)
    listed = {names[0] + name for name in names[1].split()}
    assert listed == {one for one in HOOKS["health"]["entry"].split() if "tests/" in one}


def test_the_files_that_a_hook_names_exist() -> None:
    paths = [word for hook in HOOKS.values() for word in hook["entry"].split() if "tests/" in word]
    assert paths
    assert all((ROOT / path).is_file() for path in paths)

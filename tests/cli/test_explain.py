"""`ernie-deploy explain`: every rule, check, error code and exit code has a page."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import doctor
from launcher.diagnose import pages
from launcher.engines.rules import book, engines_with_rules
from launcher.errors import ExitCode
from tests.support import ROOT
from tests.support.cli import Ran

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


def codes_in_the_source() -> dict[str, str]:
    """Every literal code given to `Problem(...)` or `SomeError.of(...)`, with its file."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "launcher").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            first = node.args[0]
            if name not in ("Problem", "of") or not isinstance(first, ast.Constant):
                continue
            if isinstance(first.value, str) and _CODE.fullmatch(first.value):
                found.setdefault(first.value, str(path.relative_to(ROOT)))
    return found


def test_every_error_code_has_a_page() -> None:
    known = json.loads((Path(pages.__file__).parent / "data" / "pages.json").read_text())["errors"]
    missing = {code: where for code, where in codes_in_the_source().items() if code not in known}
    assert not missing


def test_every_exit_code_has_a_page() -> None:
    for code in ExitCode:
        page = pages.page(("exit-code", str(int(code))))
        assert page["title"]
        assert page["means"]
        assert page["remedy"]


def test_every_rule_and_every_check_has_a_page() -> None:
    for engine in engines_with_rules():
        for entry in book(engine).entries:
            page = pages.page((entry.id.lower(),))
            assert page["id"] == entry.id
            assert page["cause"]
    for check in doctor.REGISTRY:
        assert pages.page((check.id,))["means"] == check.why


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ED-FD-CUDA-OOM",), "a failure (fastdeploy 2.0"),
        (("ed-fd-ccache-noise",), "noise: harmless"),
        (("exit-code", "4"), "did not start"),
        (("6",), "was ready and died"),
        (("port-taken",), "an error of ernie-deploy, exit code 3"),
        (("shm-size",), "a check of `ernie-deploy doctor`"),
    ],
)
def test_pages(words: tuple[str, ...], said: str, run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain", *words)
    assert ran.rc == 0, ran.said()
    assert said in ran.stdout
    assert run_cli("explain", *words, "--json").json["data"]["page"]["id"].lower() in (
        words[-1].lower(),
    )


def test_without_a_word_every_rule_is_listed(run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain")
    assert ran.rc == 0
    assert len(ran.stdout.splitlines()) == sum(
        len(book(engine).entries) for engine in engines_with_rules()
    )


@pytest.mark.parametrize("words", [("ED-FD-NOPE",), ("exit-code", "99"), ("port-takn",)])
def test_what_nobody_knows(words: tuple[str, ...], run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain", *words, "--json")
    assert ran.rc == 2
    assert ran.json["errors"][0]["code"] == "unknown-page"
    if words == ("port-takn",):
        assert "did you mean port-taken?" in ran.json["errors"][0]["message"]

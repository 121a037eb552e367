"""No room but `engines` knows an engine by its name: a third party's would be without an answer."""

import ast
from collections.abc import Iterator

from launcher.engines import BUILT_IN
from tests.support.imports import modules

ROOMS = (
    "cli", "diagnose", "doctor", "environments", "instance", "keeper", "preparation", "probe",
    "report", "smoke",
)  # fmt: skip
EXCEPTIONS = {
    # A target's kind, not an engine: an endpoint that only its address is known of.
    ("launcher/smoke/comparison/compare.py", "hosted"),
}


def names_in(node: ast.AST) -> Iterator[str]:
    """Engine names among the texts of an expression, also in tuples and sets."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and inner.value in BUILT_IN:
            yield str(inner.value)


def branches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every decision by an engine's name.

    A comparison, a case, a key of a table, a look-up of one engine, `startswith`, an argument of a
    question such as `is_engine("vllm")`.
    """
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in ("get", "startswith", "endswith", "complete") or called.startswith("is_"):
                parts = list(node.args)
        elif isinstance(node, ast.keyword) and node.arg in ("engine", "engines"):
            parts = [node.value]
        for part in parts:
            for name in names_in(part):
                yield getattr(node, "lineno", 0), name


def reached_by_name(tree: ast.AST) -> Iterator[int]:
    """Lines of `getattr` on something that is called an engine."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr")
            and "engine" in ast.unparse(node.args[0])
        ):
            yield node.lineno


def test_no_other_room_decides_by_an_engines_name() -> None:
    wrong: list[str] = []
    count = 0
    for room in ROOMS:
        for module, path in modules(f"launcher/{room}"):
            count += 1
            file = "launcher/" + str(path).split("/launcher/")[-1]
            tree = ast.parse(path.read_text(encoding="utf-8"))
            wrong += [
                f"{file}:{line}: {name!r}"
                for line, name in branches(tree)
                if (file, name) not in EXCEPTIONS
            ]
            wrong += [f"{file}:{line}: getattr of an engine" for line in reached_by_name(tree)]
            assert module.startswith("launcher.")
    assert count > 150
    assert not wrong


def test_the_scan_sees_each_form() -> None:
    planted = {
        'if engine.name == "fastdeploy": pass',
        'if profile.engine in ("vllm", "hosted"): pass',
        'if "vllm" != name: pass',
        'FLOOR = {"fastdeploy": 25.0}',
        'engines.get("hosted")',
        'subject.is_engine("fastdeploy")',
        'data["vllm"]',
        'Check("a", "b", engines=("vllm",))',
        'store.complete("fastdeploy")',
        'match name:\n    case "transformers": pass',
    }
    for source in planted:
        assert list(branches(ast.parse(source))), source
    for source in ('getattr(engine, "notes", None)', 'getattr(engines.get(name), "diff", None)'):
        assert list(reached_by_name(ast.parse(source))), source
    assert not list(branches(ast.parse('from launcher import fastdeploy; name = "fastdeploy"')))

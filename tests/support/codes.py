"""Every error code that launcher/ can say, read from its text, with the exit code beside it.

A code is what is given to a parameter or a field called `code` that is text: to `Problem`, to
`SomeError.of`, to a helper such as `self._say(code, ...)`. So a new helper need not be named here.
(The findings of smoke checks have codes too: those are not errors and stand in a report's data.)
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import errors
from launcher.errors import DeployError, ExitCode
from tests.support import ROOT
from tests.support.imports import modules

FINDINGS = {"Finding", "expect", "require", "skill"}
PROFILE, ENGINES = "launcher/profile/", "launcher/engines/"
"""What is collected in the first, and by the helpers of the second, ends in a ProfileError."""
ERRORS = {
    name: int(value.exit_code)
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, DeployError)
}


@dataclass(frozen=True)
class Use:
    """One place that names a code; `exit_code` is None where the place alone does not say it."""

    code: str
    exit_code: int | None
    where: str


def uses() -> list[Use]:
    """Every use of a code in launcher/, in order."""
    files = [_File(path) for _, path in modules()]
    takers = {name: location for file in files for name, location in file.takers.items()}
    return [use for file in files for use in file.uses(takers)]


class _File:
    def __init__(self, path: Path) -> None:
        self.name = str(path.relative_to(ROOT))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self.nodes = list(ast.walk(tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.functions = {
            n.name: n for n in self.nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.takers = dict(self._takers())

    def _takers(self) -> Iterator[tuple[str, int]]:
        """Functions and classes that take a code, with its position among the arguments."""
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
                names = [(ast.unparse(f.target), ast.unparse(f.annotation)) for f in fields]
                name = node.name
            elif isinstance(node, ast.FunctionDef):
                names = [
                    (a.arg, ast.unparse(a.annotation) if a.annotation else "")
                    for a in node.args.args
                    if a.arg not in ("self", "cls")
                ]
                parent = self.parents[node]
                constructor = node.name == "__init__" and isinstance(parent, ast.ClassDef)
                name = parent.name if constructor else node.name  # type: ignore[attr-defined]
            else:
                continue
            if ("code", "str") in names and name not in FINDINGS:
                yield name, names.index(("code", "str"))

    def uses(self, takers: dict[str, int]) -> Iterator[Use]:
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef):
                for default in _defaults(node):
                    yield Use(default, None, f"{self.name}:{node.lineno}")
            if not isinstance(node, ast.Call):
                continue
            name, owner = _called(node)
            if name not in takers or (name == "of" and owner not in {*ERRORS, "cls"}):
                continue
            codes = [k.value for k in node.keywords if k.arg == "code"]
            codes += node.args[takers[name] : takers[name] + 1]
            where = f"{self.name}:{node.lineno}"
            for code in codes:
                for text in self._literals(code, where):
                    yield Use(text, self._beside(node, name, owner), where)

    def _literals(self, node: ast.expr, where: str) -> Iterator[str]:
        """The codes that the argument can be; one that is passed on was named elsewhere."""
        if isinstance(node, ast.Name) and node.id in self.constants:
            node = self.constants[node.id]
        elif isinstance(node, ast.Name):
            for value in self._assigned(node):
                yield from self._literals(value, where)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):  # None: the default
                yield node.value
        elif isinstance(node, ast.IfExp):
            yield from self._literals(node.body, where)
            yield from self._literals(node.orelse, where)
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self._literals(value, where)
        else:
            named = isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call)
            assert named, f"{where}: a code is a literal, so that `explain` can know it"
            if isinstance(node, ast.Call):  # error.get("code", DEFAULT)
                yield from self._literals(node.args[1], where)

    def _assigned(self, name: ast.Name) -> Iterator[ast.expr]:
        """Choices between literals that the function around gives to the name."""
        above: Any = name
        while not isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | None):
            above = self.parents.get(above)
        for node in ast.walk(above) if above else ():
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.IfExp | ast.Constant)
                and name.id in (ast.unparse(target) for target in node.targets)
            ):
                yield node.value

    def _beside(self, node: ast.Call, name: str, owner: str) -> int | None:
        if owner in ERRORS:
            return ERRORS[owner]
        if name in self.functions and name in self.takers:
            exit_codes = _exit_codes(self.functions[name])
            if len(exit_codes) == 1:
                return exit_codes.pop()
        above: Any = node
        while (above := self.parents.get(above)) is not None:
            if isinstance(above, ast.Call):
                exit_codes = _exit_codes(above, deep=False)
                if len(exit_codes) == 1:
                    return exit_codes.pop()
            if isinstance(above, ast.FunctionDef):
                exit_codes = _exit_codes(above)
                if len(exit_codes) == 1:
                    return exit_codes.pop()
                break
        helper = name not in ("Problem", "of")
        if self.name.startswith(PROFILE) or (self.name.startswith(ENGINES) and helper):
            return int(ExitCode.USAGE)
        return None


def _exit_codes(node: ast.AST, *, deep: bool = True) -> set[int | None]:
    """The exit codes that a call names itself, or a function anywhere; None for a computed one."""
    inner = ast.walk(node) if deep else [node, *getattr(node, "args", [])]
    codes: set[int | None] = set()
    for one in inner:
        if isinstance(one, ast.Call):
            name, owner = _called(one)
            codes |= {ERRORS[word] for word in (name, owner) if word in ERRORS}
        elif isinstance(one, ast.Attribute) and ast.unparse(one.value) == "ExitCode":
            codes.add(int(ExitCode[one.attr]))
        elif isinstance(one, ast.Attribute) and one.attr == "exit_code":
            codes.add(None)
    return codes


def _called(node: ast.Call) -> tuple[str, str]:
    """The name of what is called, and whose it is."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr, ast.unparse(node.func.value)
    return ast.unparse(node.func), ""


def _defaults(node: ast.FunctionDef) -> Iterator[str]:
    with_default = node.args.args[len(node.args.args) - len(node.args.defaults) :]
    for argument, default in zip(with_default, node.args.defaults, strict=True):
        code = default.value if isinstance(default, ast.Constant) else None
        if argument.arg == "code" and isinstance(code, str) and code:
            yield code

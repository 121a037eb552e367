"""Small faults for a source file: each mutant is the file with one expression or line changed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
REMOVED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)


@dataclass(frozen=True)
class Mutant:
    """A changed piece of a file: what stood from `start` to `end` (bytes) and what replaces it."""

    file: str
    line: int
    start: int
    end: int
    before: str
    after: str
    function: int
    """The first line of the function around it; 0 for what runs at import: constants, defaults."""

    def applied(self, text: str) -> str:
        """The whole file with the change."""
        data = text.encode()
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()

    def __str__(self) -> str:
        """One line for a report."""
        before, after = (" ".join(one.split())[:90] for one in (self.before, self.after))
        return f"{self.file}:{self.line}: {before}  ->  {after}"


def mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    tree = ast.parse(text)
    offsets = [0]
    for line in text.encode().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    data = text.encode()
    all_mutants = []
    for node, function in _mutable(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = offsets[node.lineno - 1] + node.col_offset
        end = offsets[node.end_lineno - 1] + node.end_col_offset
        before = data[start:end].decode()
        for after in _changes(node):
            all_mutants.append(Mutant(file, node.lineno, start, end, before, after, function))
    return sorted(set(all_mutants), key=lambda one: (one.start, one.end, one.after))


def _mutable(node: ast.AST, function: int = 0) -> Iterator[tuple[ast.expr | ast.stmt, int]]:
    """Every node that runs: no annotation, no docstring, no f-string, nothing for a checker."""
    if isinstance(node, ast.expr | ast.stmt):
        yield node, function
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        inner = function
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_out(child):
                yield from _mutable(child, inner)


def _is_left_out(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring, or the `...` of a protocol
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return True
    if isinstance(node, ast.ClassDef):
        return any(ast.unparse(base).endswith("Protocol") for base in node.bases)
    return isinstance(node, ast.JoinedStr)  # its parts have no places of their own in Python 3.11


def _changes(node: ast.expr | ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[number] = COMPARE[type(operator)]()
            yield f"({ast.unparse(changed)})"
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"({ast.unparse(ast.BoolOp(swapped, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        changed_operator = ARITHMETIC[type(node.op)]()
        yield f"({ast.unparse(ast.BinOp(node.left, changed_operator, node.right))})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value + 1)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("max", "min"):
        if len(node.args) == 2 and not node.keywords:
            yield from (f"({ast.unparse(one)})" for one in node.args)
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(ast.IfExp(node.test, node.orelse, node.body))})"
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return None"
    elif isinstance(node, REMOVED):
        yield "pass"

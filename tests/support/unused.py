"""Which public names of the code are read by no other code, from its text.

A function, class or constant of a module is followed through every import, also through a package
that passes it on. A member of a class is matched by its name alone: whose attribute is read cannot
be seen in the text. A name that nothing but its own definition reads counts as unused.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
PLAIN = {"cache", "cached_property", "classmethod", "contextmanager", "dataclass", "final",
         "lru_cache", "overload", "property", "runtime_checkable", "staticmethod"}  # fmt: skip
"""Decorators that leave the function to the readers of its name; any other one registers it."""


@dataclass
class Module:
    """A module's text, the names that it binds at its top and those that it imports anywhere."""

    name: str
    tree: ast.Module
    own: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Collect both."""
        for node in self.tree.body:
            for one in names_of(node):
                assert isinstance(node, Definition)
                self.own[one] = node
        for inner in ast.walk(self.tree):
            if isinstance(inner, ast.ImportFrom) and inner.module:
                for alias in inner.names:
                    self.imports[alias.asname or alias.name] = (inner.module, alias.name)
            elif isinstance(inner, ast.Import):
                for alias in inner.names:
                    package, _, _ = alias.name.partition(".")
                    self.imports[alias.asname or package] = (
                        alias.name if alias.asname else package,
                        "",
                    )


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module or of a class binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if isinstance(node, ast.Assign):
        return [one.id for one in node.targets if isinstance(one, ast.Name)]
    return []


def is_registered(node: Definition) -> bool:
    """Whether a decorator takes the function: a command, a check, a fixture."""
    decorators = [] if isinstance(node, ast.Assign | ast.AnnAssign) else node.decorator_list
    names = {ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in decorators}
    return bool(names - PLAIN)


class Uses:
    """Who reads what in a set of modules."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.modules = {name: Module(name, ast.parse(text)) for name, text in texts.items()}
        self.names: set[tuple[str, str]] = set()
        self.attributes: dict[str, list[ast.AST]] = {}
        self.texts: set[str] = set()
        for module in self.modules.values():
            for node in module.tree.body:
                self._read(module, node)

    def resolve(self, module: str, name: str) -> tuple[str, str] | None:
        """Where a name that is read in a module was defined; an empty name for a module itself."""
        for _ in range(20):  # a circle of imports has no end
            here = self.modules.get(module)
            if here is None:
                return None
            if name in here.own:
                return module, name
            below = f"{module}.{name}"
            if here.imports.get(name, (module, name)) == (module, name):
                return (below, "") if below in self.modules else None
            module, name = here.imports[name]
            if not name:
                return module, ""
        return None

    def _read(self, module: Module, statement: ast.stmt) -> None:
        own = {(module.name, one) for one in names_of(statement)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Store):
                target = self._target(module, node)
                if target is not None and target not in own:
                    self.names.add(target)
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Store):
                self.attributes.setdefault(node.attr, []).append(node)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
                name = node.args[1]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    self.attributes.setdefault(name.value, []).append(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.add(node.value)
                where, colon, short = node.value.partition(":")
                if colon and where in self.modules:  # a name that is imported when it is needed
                    self.names.add(self.resolve(where, short) or (where, short))

    def _target(self, module: Module, node: ast.AST) -> tuple[str, str] | None:
        if isinstance(node, ast.Name):
            return self.resolve(module.name, node.id)
        if isinstance(node, ast.Attribute):
            value = self._target(module, node.value)
            if value is not None and not value[1]:
                return self.resolve(value[0], node.attr)
        return None

    def unused(self) -> Iterator[str]:
        """The public names that nothing else reads, as `module:name` or `module:Class.member`."""
        for module in self.modules.values():
            for name, node in module.own.items():
                if name.startswith("_"):
                    continue
                if (module.name, name) not in self.names and not is_registered(node):
                    yield f"{module.name}:{name}"
                if isinstance(node, ast.ClassDef):
                    yield from (f"{module.name}:{name}.{one}" for one in self._members(node))

    def _members(self, owner: ast.ClassDef) -> Iterator[str]:
        for node in owner.body:
            for name in names_of(node):
                assert isinstance(node, Definition)
                if name.startswith("_") or is_registered(node):
                    continue
                reads = self.attributes.get(name, ())
                # What is read often is not read by itself alone.
                inside = set(ast.walk(node)) if len(reads) < 10 else set()
                outside = [one for one in reads if one not in inside]
                if not outside and not self._is_in_a_text(name, node):
                    yield name

    def _is_in_a_text(self, name: str, node: Definition) -> bool:
        """A field may be read by its name in JSON, or by a path such as `parsers.tool_call`."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        return any(one.rpartition(".")[2] == name for one in self.texts)

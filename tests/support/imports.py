"""What the code imports, read from its text: lazy imports inside of functions count too."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT


def modules(folder: str = "launcher") -> Iterator[tuple[str, Path]]:
    """Every module below `folder` with its dotted name, in order."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@functools.cache
def imported(path: Path) -> tuple[tuple[str, int], ...]:
    """Every name that the file imports, as `package.module.name`, with its line."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return tuple(names)

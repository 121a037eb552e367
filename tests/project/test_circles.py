"""No module imports, over any others, itself: lazy and typing imports count too."""

from collections.abc import Mapping

from tests.support.imports import imported, modules


def graph() -> dict[str, set[str]]:
    """Every module with the modules that it imports anywhere in its text."""
    paths = dict(modules())
    edges: dict[str, set[str]] = {}
    for module, path in paths.items():
        names = [name for name, _ in imported(path)]
        chosen = {n if n in paths else n.rpartition(".")[0] for n in names}
        edges[module] = (chosen & set(paths)) - {module}
    return edges


def circles(edges: Mapping[str, set[str]]) -> list[str]:
    """Every group of nodes that reach each other (Tarjan's algorithm), as `a <> b`."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[str] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for second in sorted(edges[node]):
            if second not in number:
                visit(second)
            if second in stack:
                lowest[node] = min(lowest[node], lowest[second])
        if lowest[node] == number[node]:
            position = stack.index(node)
            group = stack[position:]
            del stack[position:]
            if len(group) > 1:
                groups.append(" <> ".join(sorted(group)))

    for node in edges:
        if node not in number:
            visit(node)
    return groups


def test_a_circle_is_found_and_a_shared_module_is_none() -> None:
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a", "d"}, "d": set(), "e": {"a", "d"}}
    assert circles(edges) == ["a <> b <> c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_is_in_a_circle_of_imports() -> None:
    edges = graph()
    assert sum(map(len, edges.values())) > 500
    assert circles(edges) == []


def test_the_rooms_inside_smoke_are_in_no_circle_either() -> None:
    rooms: dict[str, set[str]] = {}
    for module, names in graph().items():
        if module.startswith("launcher.smoke."):
            here = module.split(".")[2]
            below = {n.split(".")[2] for n in names if n.startswith("launcher.smoke.")}
            rooms.setdefault(here, set()).update(below - {here})
    assert len(rooms) > 5
    assert circles(rooms) == []

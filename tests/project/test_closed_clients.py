"""Clients that keep connections are closed where they are made: left to the collector, their open
sockets are a failure of whichever test runs then."""

import ast

import pytest

from tests.support import ROOT

KEEP_CONNECTIONS = ("OpenAI", "Anthropic", "Session", "Client")
MODULES = ("openai", "anthropic", "requests", "httpx", "library")


def left_open(source: str) -> list[int]:
    """The lines on which such a client is made that no `with` and no exit stack closes."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    entered = [
        argument
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "enter_context"
        for argument in call.args
    ]
    names = {one.id for one in entered if isinstance(one, ast.Name)}
    closed = {id(one) for one in entered}
    closed |= {id(i.context_expr) for n in nodes if isinstance(n, ast.With) for i in n.items}
    closed |= {
        id(n.value)
        for n in nodes
        if isinstance(n, ast.Assign)
        and isinstance(n.targets[0], ast.Name)
        and n.targets[0].id in names
    }
    return [
        node.lineno
        for node in calls
        if isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in MODULES
        and node.func.attr in KEEP_CONNECTIONS
        and id(node) not in closed
    ]


def test_clients_are_closed_where_they_are_made() -> None:
    files = [path for room in ("launcher", "tests") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 1000
    left = [f"{path}:{line}" for path in files for line in left_open(path.read_text())]
    assert not left, left


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("client = openai.OpenAI(api_key='a')", [1]),
        ("def make():\n    return anthropic.Anthropic()", [2]),
        ("with requests.Session() as session:\n    pass", []),
        ("stack.enter_context(httpx.Client())", []),
        ("client = openai.OpenAI()\nstack.enter_context(client)", []),
    ],
)
def test_what_is_left_open_is_seen(source: str, lines: list[int]) -> None:
    assert left_open(source) == lines

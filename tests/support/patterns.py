"""Every regular expression of the product, and lines made from each that are meant to be slow."""

import ast
import importlib
import itertools
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import launcher
from launcher import engines
from launcher.plan.model import LaunchPlan
from tests.support import ROOT
from tests.support.decoded import JsonDict

try:
    from re import _constants as opcodes  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as opcodes
    import sre_parse as parser

WAYS = ("search", "match", "fullmatch", "sub", "subn", "finditer", "findall", "split")
LONG = 20
"""A repeat that may go on for longer than this is worth an attack."""


@dataclass(frozen=True)
class Used:
    """A pattern and the way it is applied; `where` names it in a failure."""

    where: str
    regex: re.Pattern[Any]
    way: str

    def apply(self, text: str) -> None:
        """Use it on `text` as the product does."""
        subject: Any = text
        if isinstance(self.regex.pattern, bytes):
            subject = text.encode("utf-8", "replace")
        if self.way in ("sub", "subn"):
            self.regex.sub(subject[:0], subject)
        elif self.way in ("finditer", "findall"):
            for _ in self.regex.finditer(subject):
                pass
        else:
            getattr(self.regex, self.way)(subject)


def everything() -> list[Used]:
    """What the code compiles, and what the data files hold."""
    uses = {(u.where, u.regex.pattern, u.way): u for u in (*_of_modules(), *_of_data())}
    return sorted(uses.values(), key=lambda u: (u.where, u.way))


def _of_data() -> Iterator[Used]:
    def used(where: str, texts: Iterable[str], flags: int = 0) -> Iterator[Used]:
        for number, text in enumerate(texts):
            yield Used(f"{where}[{number}]", re.compile(text, flags), "search")

    for book in engines.rule_books():
        for entry in book.entries:
            if entry.pattern is not None:
                yield Used(entry.id, re.compile(entry.pattern), "search")
        yield from used(f"{book.engine} start marks", book.start_marks)
    for engine in ("fastdeploy", "vllm", "transformers"):
        module = importlib.import_module(f"launcher.engines.{engine}.watching")
        yield from used(f"{engine} phases", [rule.pattern for rule in module.PHASE_RULES])
        yield from used(f"{engine} exits", [e.pattern for e in getattr(module, "EXIT_CODES", ())])
        yield from used(f"{engine} told to stop", getattr(module, "TOLD_TO_STOP", ()))
        yield from used(f"{engine} vital", getattr(module, "VITAL", ()))
        progress = getattr(module, "PROGRESS", LaunchPlan.__dataclass_fields__["progress"].default)
        yield from used(f"{engine} workers", getattr(progress, "workers", ()))
    data = ROOT / "launcher"
    memory = json.loads((data / "engines/fastdeploy/data/memory.json").read_text())
    yield from used("memory.json", memory["reported"])
    skills = json.loads((data / "smoke/data/skills.json").read_text())
    yield from used("skills.json", [entry["model"] for entry in skills["models"]], re.I)
    prices = yaml.safe_load((data / "smoke/data/prices.yaml").read_text())
    yield from used("prices.yaml", [entry["model"] for entry in prices["prices"]])
    yield Used("shape.py", re.compile(r"(.*[/-]a)|(a[-@:][v\d][\w.-]*)"), "fullmatch")


def _of_modules() -> Iterator[Used]:
    for info in pkgutil.walk_packages(launcher.__path__, "launcher."):
        if info.name.endswith("__main__") or info.name == "launcher.pytest_plugin":
            continue
        module = importlib.import_module(info.name)
        if module.__file__ is None:
            continue
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        ways = _ways(tree)
        for name, value in vars(module).items():
            for number, regex in enumerate(_compiled(value)):
                for way in ways.get(name, ("search",)):
                    yield Used(f"{info.name}.{name}[{number}]", regex, way)
        for call in ast.walk(tree):
            yield from _of_call(info.name, call, vars(module))


def _compiled(value: object) -> Iterator[re.Pattern[Any]]:
    if (
        callable(value)
        and hasattr(value, "cache_info")
        and "re.Pattern" in str(value.__annotations__.get("return"))
    ):
        value = value()  # compiled when it is first used
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _compiled(item)


def _ways(tree: ast.AST) -> dict[str, set[str]]:
    """How each name of the module is applied: `_LINE.fullmatch(...)`."""
    ways: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr not in WAYS:
            continue
        kept = node.value.func if isinstance(node.value, ast.Call) else node.value
        if isinstance(kept, ast.Name):
            ways.setdefault(kept.id, set()).add(node.attr)
    return ways


def _of_call(where: str, call: ast.AST, names: JsonDict) -> Iterator[Used]:
    """`re.fullmatch(PATTERN, ...)` where the pattern is a text or a name of the module."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return
    if not isinstance(call.func.value, ast.Name) or call.func.value.id != "re" or not call.args:
        return
    way = {"compile": "search"}.get(call.func.attr, call.func.attr)
    if way not in WAYS:
        return
    text = _text(call.args[0], names)
    if isinstance(text, str | bytes):
        if call.func.attr == "compile":
            return  # kept in a name of the module, where it is found with its flags
        yield Used(f"{where}:{call.lineno}", re.compile(text), way)


@dataclass(frozen=True, order=True)
class Attack:
    """A line: `head`, then as much of `body` as there is room for, then `end`."""

    head: str
    body: str
    end: str

    def line(self, length: int) -> str:
        """The line of about `length` characters."""
        return self.head + self.body * (length // len(self.body)) + self.end


def _text(node: ast.expr, names: dict[str, object]) -> Any:
    """What an expression of literals, names of the module and f-strings of both gives, or None."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return getattr(names.get(node.value.id), node.attr, None)
    if isinstance(node, ast.JoinedStr):
        parts = [_text(getattr(part, "value", part), names) if isinstance(part, ast.FormattedValue)
                 else _text(part, names) for part in node.values]  # fmt: skip
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return None  # made of a function's variables: listed in `_of_data`


def attacks(pattern: str | bytes, flags: int) -> list[Attack]:
    """Lines made from the pattern itself, to be as slow as can be."""
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    tree = parser.parse(text, flags & ~re.UNICODE if isinstance(pattern, bytes) else flags)
    every = _walk(list(tree), "", [])
    found_attacks: set[Attack] = set()
    for prefix, classes in every:
        for chars in classes:
            found_attacks |= _runs(prefix, chars)
    for prefix in {prefix for prefix, _ in every} | {_sample(list(tree))}:
        for filler in ("", " ", "x", "1", ".", "/", prefix[:1], prefix[-1:]):
            found_attacks.add(Attack("", prefix + filler, "\x00"))
    return sorted(attack for attack in found_attacks if attack.body)


def _runs(prefix: str, chars: str) -> set[Attack]:
    """A long run of a class after what leads to it, alone, and mixed; each nearly a match."""
    runs = set()
    for run in {*chars[:4], chars[:2], chars[::-1][:2]}:
        for end in ("", "\x00", "!", "\n", " "):
            runs |= {Attack(prefix, run, end), Attack("", run, end)}
        # The prefix again and again: every start walks over what all later ones will.
        runs |= {Attack("", prefix + run, "\x00"), Attack("", prefix + run * 50, "\x00")}
    return runs


def _walk(items: list[Any], prefix: str, collected: list[Any]) -> list[tuple[str, list[str]]]:
    """(a text that leads to a repeat, what the repeat may consist of) for every long repeat."""
    for at, (code, value) in enumerate(items):
        if code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT) or str(code) == "POSSESSIVE_REPEAT":
            _, most, inside = value
            if most > LONG:
                chars = _chars(list(inside))
                after = _chars(items[at + 1 : at + 3])
                both = [c for c in chars if c in after]
                collected.append(
                    (prefix, ["".join(dict.fromkeys([*both, *chars])), _sample(inside)])
                )
            _walk(list(inside), prefix, collected)
        elif code is opcodes.SUBPATTERN:
            _walk(list(value[-1]), prefix, collected)
        elif code is opcodes.BRANCH:
            for branch in value[1]:
                _walk(list(branch), prefix, collected)
        elif code in (opcodes.ASSERT, opcodes.ASSERT_NOT):
            _walk(list(value[1]), prefix, collected)
        prefix += _sample([(code, value)])
    return collected


def _chars(items: list[Any]) -> list[str]:
    """Some characters with which the items may begin."""
    characters: list[str] = []
    for code, value in items[:1]:
        if code is opcodes.SUBPATTERN:
            characters += _chars(list(value[-1]))
        elif code is opcodes.BRANCH:
            characters += itertools.chain.from_iterable(_chars(list(b))[:2] for b in value[1])
        elif code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
            characters += _chars(list(value[2])) + _chars(items[1:])
        elif code in (opcodes.ASSERT, opcodes.ASSERT_NOT, opcodes.AT):
            characters += _chars(items[1:])
        else:
            characters += _members(code, value)
    return characters


PROBES = "a1 .:/-_'\"A0fx=,;[](){}<>%@#\t\x9d\x1b\x00\u4e00"


def _members(code: Any, value: Any) -> list[str]:
    """Some characters that one item of a pattern matches, those it names first."""
    if code is opcodes.LITERAL:
        return [chr(value)]
    named: list[str] = []
    if code is opcodes.IN and value[0][0] is not opcodes.NEGATE:
        named = [chr(v if op is opcodes.LITERAL else v[0]) for op, v in value
                 if op in (opcodes.LITERAL, opcodes.RANGE)]  # fmt: skip
    return list(dict.fromkeys([*named, *(c for c in PROBES if _matches(code, value, c))]))[:8]


def _matches(code: Any, value: Any, char: str) -> bool:
    if code is opcodes.LITERAL or code is opcodes.NOT_LITERAL:
        return bool(ord(char) == value) == (code is opcodes.LITERAL)
    if code is opcodes.ANY:
        return char != "\n"
    if code is not opcodes.IN:
        return False
    is_match = any(
        (op is opcodes.LITERAL and ord(char) == v)
        or (op is opcodes.RANGE and v[0] <= ord(char) <= v[1])
        or (op is opcodes.CATEGORY and _of_kind(char, str(v)))
        for op, v in value
    )
    return is_match != (value[0][0] is opcodes.NEGATE)


ALPHABET = "".join(map(chr, range(160))) + "\u4e00"


def ambiguous(pattern: str | bytes, flags: int = 0) -> str | None:
    """Why a text may be divided in many ways among the unbounded repeats of `pattern`, or None.

    Two of them beside each other that take the same characters, or one within another without
    anything that tells where a round of the outer one ends.
    """
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    tree = parser.parse(text, flags & ~re.UNICODE if isinstance(pattern, bytes) else flags)
    return _ambiguous(list(tree))


def _ambiguous(items: list[Any]) -> str | None:
    before: set[str] = set()
    for code, value in items:
        for inner in _inside(code, value):
            if (why := _ambiguous(inner)) is not None:
                return why
        if code in (opcodes.AT, opcodes.ASSERT, opcodes.ASSERT_NOT):
            continue
        repeated = code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT)
        if repeated and value[1] is opcodes.MAXREPEAT:
            chars = _alphabet(list(value[2]))
            if shared := before & _first(list(value[2])):
                return f"two repeats beside each other take {min(shared)!r}"
            for at, part in enumerate(value[2]):
                alternatives = [item for n, item in enumerate(value[2]) if n != at]
                inner_chars = _endless(part)
                if inner_chars and not (_alphabet(alternatives) - inner_chars):
                    return "a repeat within a repeat"
            before = chars if value[0] else before | chars
        elif _may_be_empty(code, value):
            before |= _endless((code, value))
        else:
            before = set()
    return None


def _inside(code: Any, value: Any) -> list[list[Any]]:
    if code is opcodes.SUBPATTERN:
        return [list(value[-1])]
    if code is opcodes.BRANCH:
        return [list(branch) for branch in value[1]]
    if code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
        return [list(value[2])]
    if code in (opcodes.ASSERT, opcodes.ASSERT_NOT):
        return [list(value[1])]
    return []


def _alphabet(items: list[Any]) -> set[str]:
    """Every character that may be a part of what the items match."""
    characters: set[str] = set()
    for code, value in items:
        inside = _inside(code, value)
        for inner in inside:
            characters |= _alphabet(inner)
        if not inside:
            characters |= {char for char in ALPHABET if _matches(code, value, char)}
    return characters


def _first(items: list[Any]) -> set[str]:
    """Every character with which the items may begin."""
    characters: set[str] = set()
    for code, value in items:
        inside = _inside(code, value)
        characters |= _alphabet([(code, value)]) if not inside else set()
        if code not in (opcodes.ASSERT, opcodes.ASSERT_NOT):
            for inner in inside:
                characters |= _first(inner)
        if not _may_be_empty(code, value):
            break
    return characters


def _endless(item: Any) -> set[str]:
    """What an item consists of if it is an unbounded repeat, or a group of nothing else."""
    code, value = item
    if code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
        return _alphabet(list(value[2])) if value[1] is opcodes.MAXREPEAT else set()
    if code is opcodes.SUBPATTERN and len(value[-1]) == 1:
        return _endless(value[-1][0])
    return set()


def _may_be_empty(code: Any, value: Any) -> bool:
    if code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
        return bool(value[0] == 0)
    if code in (opcodes.AT, opcodes.ASSERT, opcodes.ASSERT_NOT):
        return True
    if code is opcodes.SUBPATTERN:
        return all(_may_be_empty(*item) for item in value[-1])
    return False


def _of_kind(char: str, kind: str) -> bool:
    matching = {
        "DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_",
    }  # fmt: skip
    category = kind.rpartition("_")[2]
    return matching[category] != ("NOT" in kind)


def _sample(items: Any) -> str:
    """A short text that the items match, look-arounds aside."""
    text = ""
    for code, value in list(items):
        if code is opcodes.SUBPATTERN:
            text += _sample(value[-1])
        elif code is opcodes.BRANCH:
            text += _sample(value[1][0])
        elif code in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
            text += _sample(value[2]) * max(min(value[0], 40), 1)
        else:
            text += (_members(code, value) or [""])[0]
    return text

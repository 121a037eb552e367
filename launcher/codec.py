"""One codec for what we write ourselves: dataclasses to JSON and back, strict about what it reads.

A field is written under its own name, in the order of the class. `written` changes that: another
`name`, no key at all while the value is the default (`omit`), the fields of a nested class among
those of its owner (`inline`), None as an empty object (`empty`).

Every wrong value is an error that names its path (`plan.ports[2].number: expected a whole number,
got 'x'`). A key that the class does not know is an error too, unless the reader is `tolerant`:
files and messages carry a schema whose number grows only when a field changes its meaning, so the
same number with further keys is the work of a newer release, and stays readable. A new field needs
a default, so that an older record stays readable as well.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, Union

from launcher.json_values import JsonValue, is_list

T = TypeVar("T")
_Reader = Callable[[JsonValue, str, bool], object]

LONGEST_VALUE = 60
"""Characters of a wrong value that an error shows."""
_NOTHING = type(None)
_UNIONS = (Union, types.UnionType)
_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class DecodeError(ValueError):
    """A JSON value does not have the form of its class; the text names the path."""


def written(
    name: str | None = None, *, omit: bool = False, inline: bool = False, empty: bool = False
) -> dict[str, object]:
    """The metadata of a `dataclasses.field` that is written in its own way (see the module).

    `empty` is for fields whose type is `AClass | None`; an `inline` one is None where the object
    has none of its keys.
    """
    return {"name": name, "omit": omit, "inline": inline, "empty": empty}


# -- writing --------------------------------------------------------------------------------------


def encode(value: object) -> JsonValue:
    """`value` as JSON: dataclasses, enums, paths, mappings, sequences and plain values.

    Raises:
        TypeError: it holds something else.
    """
    if value is None or type(value) in (str, int, float, bool):
        return typing.cast(JsonValue, value)
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if isinstance(value, Mapping):
        return {str(key): encode(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode_object(value)
    if isinstance(value, (str, int, float)):  # a subclass, such as a quoted text
        return value
    raise TypeError(f"{type(value).__name__} is not JSON")


def encode_object(value: object) -> dict[str, JsonValue]:
    """The dataclass `value` as a JSON object."""
    encoded: dict[str, JsonValue] = {}
    for field in _outline(type(value)):
        item = getattr(value, field.attribute)
        if field.omit and item == field.default:
            continue
        if field.inline:
            encoded.update(encode_object(item) if item is not None else {})
        else:
            encoded[field.name] = {} if field.empty and item is None else encode(item)
    return encoded


class _Field(NamedTuple):
    attribute: str
    name: str
    default: object
    omit: bool = False
    inline: bool = False
    empty: bool = False


_OUTLINES: dict[type, tuple[_Field, ...]] = {}


def _outline(kind: type) -> tuple[_Field, ...]:
    """The fields of a dataclass as they are written."""
    if kind not in _OUTLINES:
        _OUTLINES[kind] = tuple(
            _Field(
                field.name,
                field.metadata.get("name") or field.name,
                field.default,
                field.metadata.get("omit", False),
                field.metadata.get("inline", False),
                field.metadata.get("empty", False),
            )
            for field in dataclasses.fields(kind)
        )
    return _OUTLINES[kind]


# -- reading --------------------------------------------------------------------------------------


def decode(
    kind: type[T],
    value: JsonValue,
    at: str = "",
    *,
    schema: str | None = None,
    tolerant: bool = False,
) -> T:
    """`value` as the dataclass `kind`; the inverse of `encode`.

    `at` names the document in errors. With `schema` the key `schema` must hold it. `tolerant`
    ignores keys that `kind` does not have.

    Raises:
        DecodeError: the value does not have that form.
    """
    if schema is not None:
        check_schema(value, schema, at)
    return typing.cast(T, _reader(kind)(value, at, tolerant))


def check_schema(value: JsonValue, schema: str, at: str = "") -> None:
    """Refuse a document that is not of `schema` (`ernie-deploy/plan/1`).

    Raises:
        DecodeError: it is of another version, or no document of ours.
    """
    actual = value.get("schema") if isinstance(value, Mapping) else None
    if actual == schema:
        return
    family = schema.rpartition("/")[0]
    hint = ""
    if isinstance(actual, str) and actual.rpartition("/")[0] == family:
        hint = "; another release of ernie-deploy wrote it"
    raise _wrong(_key(at, "schema"), repr(schema), actual, hint)


_READERS: dict[object, _Reader] = {}


def _reader(kind: object) -> _Reader:
    """The function that reads a value of the annotated type `kind`."""
    try:
        return _READERS[kind]
    except KeyError:
        reader = _READERS[kind] = _make_reader(kind)
        return reader


def _make_reader(kind: object) -> _Reader:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _ObjectReader(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum_reader(kind)
    if kind in _NAMES:
        return _plain_reader(kind)
    if kind is Path:
        return lambda value, at, tolerant: Path(_text(value, at))
    if kind is object or _is_json(kind):
        return lambda value, at, tolerant: value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in _UNIONS:
        return _union_reader(arguments)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin is tuple and arguments[-1:] != (...,):
        return _fixed_reader(arguments)
    if origin in (tuple, list, Sequence):
        return _list_reader(list if origin is list else tuple, arguments[0])
    if origin in (dict, Mapping):
        return _mapping_reader(arguments[1])
    raise TypeError(f"the codec does not know the type {kind}")


class _ObjectReader:
    """Reads one dataclass; its fields' readers are made when the first value comes."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._fields: list[tuple[_Field, _Reader, bool]] | None = None
        self._names: frozenset[str] = frozenset()
        self._tags: list[tuple[str, _Reader]] = []

    def fields(self) -> list[tuple[_Field, _Reader, bool]]:
        """Each field with its reader and whether it must be there."""
        if self._fields is None:
            hints, self._fields = _annotations(self._kind), []
            required = {
                field.name
                for field in dataclasses.fields(self._kind)
                if field.default is field.default_factory is dataclasses.MISSING
            }
            for field in _outline(self._kind):
                kind = hints[field.attribute]
                reader = _reader(_without_none(kind) if field.inline else kind)
                self._fields.append((field, reader, field.attribute in required))
                if typing.get_origin(hints[field.attribute]) is Literal:
                    self._tags.append((field.name, reader))
            self._names = frozenset(
                name
                for field, reader, _ in self._fields
                for name in (_names_of(reader) if field.inline else (field.name,))
            )
        return self._fields

    @property
    def names(self) -> frozenset[str]:
        """The keys of the object."""
        self.fields()
        return self._names

    @property
    def tags(self) -> list[tuple[str, _Reader]]:
        """The keys that tell this class from others: those with a choice of fixed values."""
        self.fields()
        return self._tags

    def __call__(self, value: JsonValue, at: str, tolerant: bool) -> object:
        if not isinstance(value, Mapping):
            raise _wrong(at, "an object", value)
        arguments: dict[str, object] = {}
        for field, reader, is_required in self.fields():
            if field.inline:
                names = _names_of(reader)
                part = {name: one for name, one in value.items() if name in names}
                if part or is_required:
                    arguments[field.attribute] = reader(part, at, tolerant)
            elif field.name not in value:
                if is_required:
                    raise DecodeError(f"{_key(at, field.name)}: is missing")
            elif field.empty and value[field.name] == {}:
                arguments[field.attribute] = None
            else:
                one = reader(value[field.name], _key(at, field.name), tolerant)
                arguments[field.attribute] = one
        if not tolerant:
            unknown = next((name for name in value if name not in self._names), None)
            if unknown is not None:
                raise DecodeError(f"{_key(at, unknown)}: unknown field")
        decoded: object = self._kind(**arguments)
        return decoded


def _names_of(reader: _Reader) -> frozenset[str]:
    return reader.names if isinstance(reader, _ObjectReader) else frozenset()


def _annotations(kind: type) -> dict[str, object]:
    """The types of a dataclass's fields; `typing.get_type_hints` would follow JSON's circle."""
    hints: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        hints.update(inspect.get_annotations(base, eval_str=True))
    return hints


def _is_json(kind: object) -> bool:
    """True for `JsonValue` and what may be JSON of any shape."""
    if typing.get_origin(kind) not in _UNIONS:
        return False
    arguments = typing.get_args(kind)
    return bool in arguments and any(typing.get_origin(one) is Mapping for one in arguments)


def _without_none(kind: object) -> object:
    arguments = [one for one in typing.get_args(kind) if one is not _NOTHING]
    return arguments[0] if len(arguments) == 1 else kind


def _plain_reader(kind: type) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (kind is not bool and isinstance(value, bool)):
            raise _wrong(at, _NAMES[kind], value)
        return value

    return read


def _text(value: JsonValue, at: str) -> str:
    if not isinstance(value, str):
        raise _wrong(at, "a text", value)
    return value


def _enum_reader(kind: type[enum.Enum]) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        try:
            return kind(value)
        except ValueError:
            expected = ", ".join(repr(one.value) for one in kind)
            raise _wrong(at, f"one of {expected}", value) from None

    return read


def _literal_reader(choices: tuple[object, ...]) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        if not any(value == one and type(value) is type(one) for one in choices):
            expected = ", ".join(map(repr, choices))
            raise _wrong(at, f"one of {expected}" if len(choices) > 1 else expected, value)
        return value

    return read


def _list_reader(make: Callable[[list[object]], object], kind: object) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        if not is_list(value):
            raise _wrong(at, "a list", value)
        return make([item(one, f"{at}[{i}]", tolerant) for i, one in enumerate(value)])

    item = _reader(kind)
    return read


def _fixed_reader(kinds: tuple[object, ...]) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        if not is_list(value) or len(value) != len(items):
            raise _wrong(at, f"a list of {len(items)}", value)
        pairs = zip(items, value, strict=True)
        return tuple(item(one, f"{at}[{i}]", tolerant) for i, (item, one) in enumerate(pairs))

    items = [_reader(kind) for kind in kinds]
    return read


def _mapping_reader(kind: object) -> _Reader:
    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        if not isinstance(value, Mapping):
            raise _wrong(at, "an object", value)
        return {key: item(one, _key(at, key), tolerant) for key, one in value.items()}

    item = _reader(kind)
    return read


def _union_reader(kinds: tuple[object, ...]) -> _Reader:
    """The first kind that fits; of several classes the one whose `Literal` fields fit."""

    def read(value: JsonValue, at: str, tolerant: bool) -> object:
        if value is None and optional:
            return None
        chosen = [one for one in members if _is_meant(one, value)] or members
        error: DecodeError | None = None
        for member in chosen:
            try:
                return member(value, at, tolerant)
            except DecodeError as wrong:
                # The one that got farthest into the value knows best what is wrong in it.
                deeper = error is None or _depth(wrong) > _depth(error)
                error = wrong if deeper else error
        raise error or _wrong(at, "a value", value)

    optional = _NOTHING in kinds
    members = [_reader(kind) for kind in kinds if kind is not _NOTHING]
    return read


def _depth(error: DecodeError) -> int:
    path = str(error).partition(": ")[0]
    return path.count(".") + path.count("[")


def _is_meant(reader: _Reader, value: JsonValue) -> bool:
    """True where the tag in `value` (a field of type `Literal`) is the reader's."""
    if not isinstance(reader, _ObjectReader) or not isinstance(value, Mapping):
        return False
    for name, read in reader.tags:
        try:
            read(value.get(name), name, True)
        except DecodeError:
            return False
    return bool(reader.tags)


def _key(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _wrong(at: str, expected: str, value: object, hint: str = "") -> DecodeError:
    text = repr(value)
    preview = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
    return DecodeError(f"{at or 'the document'}: expected {expected}, got {preview}{hint}")

"""Each fact has one home: a second definition anywhere in launcher/ is noticed here."""

import ast
import fcntl
import re
from pathlib import Path

import pytest

from launcher import files
from launcher.nearest import LONGEST_NAME, did_you_mean, nearest
from launcher.profile import scalars
from launcher.redact import is_secret_flag, is_secret_name
from launcher.smoke.clients.transcript import HIDDEN, Redactor
from launcher.smoke.section import limits
from tests.support.imports import imported, modules

HOMES = {
    "difflib": {"launcher.nearest"},
    "fcntl": {
        "launcher.files",  # flock
        "launcher.keeper.engine_process",  # the size of a pipe
    },
}
"""Module of the standard library, and the modules that may import it."""


@pytest.mark.parametrize("library", HOMES)
def test_a_mechanism_is_imported_at_its_home_only(library: str) -> None:
    users = {
        module
        for module, path in modules()
        for name, _ in imported(path)
        if name.split(".")[0] == library
    }
    assert users == HOMES[library]


def calls(name: str) -> set[str]:
    """The modules that call `name`, written as `os.replace`, or `.replace` for any object's."""
    callers = set()
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                callers.add(module)
    return callers


def test_one_helper_takes_locks() -> None:
    assert calls("fcntl.flock") == {"launcher.files"}
    assert calls("fcntl.lockf") == set()


def test_one_helper_puts_a_new_file_in_the_place_of_an_old_one() -> None:
    assert calls("os.replace") == {"launcher.files"}
    assert calls("os.rename") == set()
    one_argument = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "replace"
        and len(node.args) == 1
        and not node.keywords
    }
    assert one_argument == {"launcher.keeper.output"}, "only logs are moved whole"


def test_who_looks_at_a_lock_does_not_hide_it_from_another_that_looks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not files.is_locked(path)
    with path.open() as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        assert not files.is_locked(path)
    with path.open("r+") as holds:
        assert files.try_lock(holds.fileno())
        assert files.is_locked(path)
        with path.open("r+") as late:
            assert not files.try_lock(late.fileno())
    assert not files.is_locked(path)


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "FD_API_KEY", "KEY", "BAIDU_AK", "SK", "DB_PASSWORD", "ADMIN_TOKEN", "apiKey",
     "AWS_SECRET_ACCESS_KEY", "secretKey", "X-Api-Key", "authorization", "Set-Cookie", "HFTOKEN"],
)  # fmt: skip
def test_a_name_of_a_secret_is_one_everywhere(name: str) -> None:
    assert is_secret_name(name)
    assert Redactor({"x"}).json({name: "value-of-it"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "name", ["max_token", "min-token", "tokenizer", "monkey", "task", "BREAK", "stop_token_ids"]
)
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("flag", "is_one"),
    [("api-key", True), ("hf_token", True), ("token", True), ("pad-token", False),
     ("ssl-keyfile", False), ("lora-key", False), ("token-limit", False)],
)  # fmt: skip
def test_a_flag_of_an_engine_takes_a_secret(flag: str, is_one: bool) -> None:
    assert is_secret_flag(flag) is is_one


def test_one_module_spells_the_names_of_secrets() -> None:
    spelled = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "\n" not in node.value
        and re.search(r"(?i)passw(or)?d\b.*\||\|passw(or)?d|^passwd$", node.value)
    }
    assert spelled == {"launcher.redact"}


@pytest.mark.parametrize(
    ("text", "expected"), [(".5s", 0.5), ("500ms", 0.5), ("2m", 120), ("1d", 86400), ("30", 30)]
)
def test_a_duration_is_read_alike_in_every_key(text: str, expected: float) -> None:
    assert scalars.seconds(text) == limits.seconds(text) == expected


@pytest.mark.parametrize("text", ["5 weeks", "", "-1s", "1e3s", "400d"])
def test_what_is_no_duration_has_one_error(text: str) -> None:
    with pytest.raises(scalars.ScalarError) as first:
        scalars.seconds(text)
    with pytest.raises(ValueError, match=re.escape(str(first.value))):
        limits.seconds(text)


def test_the_hint_names_what_was_probably_meant() -> None:
    assert nearest("chta", ["health", "chat"]) == "chat"
    assert did_you_mean("chta", ["health", "chat"]) == "; did you mean 'chat'?"
    assert did_you_mean("entirely-else", ["health", "chat"]) == ""
    assert did_you_mean(7, ["health", "chat"]) == ""


def test_a_very_long_name_costs_no_time() -> None:
    assert nearest("a" * (LONGEST_NAME + 1), ["a" * LONGEST_NAME]) is None
    assert nearest("a" * 100_000_000, ["b" * 1000] * 1000) is None


def test_no_message_builds_the_hint_by_hand() -> None:
    """`; did you mean` stands in the text of one module; others ask it."""
    texts = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr) and "; did you mean {near" in ast.unparse(node)
    }
    assert texts <= {
        "launcher.nearest",
        "launcher.diagnose.pages",  # without quotes: a page is named as it is typed
    }


KERNEL_TABLES = {
    "launcher.host.processes": "each process",
    "launcher.host.memory": "tells where its numbers are from",
    "launcher.subprocesses": "shared by all rooms, so it imports none: the tree of its own child",
    "launcher.paths": "reads nothing there: a path that is never replaced by a file",
}
"""The modules that name `/proc` as a place, each with its reason."""
HEARD_OF = {
    "launcher.doctor.checks.exposure": "a message",
    "launcher.engines.fastdeploy.doctor_checks": "a message",
    "launcher.door.master": "a command of HAProxy",
}


def test_one_module_names_the_kernels_tables() -> None:
    named: dict[str, list[str]] = {}
    for module, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, bytes):
                text = text.decode(errors="replace")
            if isinstance(text, str) and id(node) not in prose and re.search(r"\bproc\b", text):
                named.setdefault(module, []).append(text)
    assert set(named) == {*KERNEL_TABLES, *HEARD_OF}, named
    for module in HEARD_OF:
        assert all(" " in text for text in named[module]), "a sentence, and no path"


def test_who_asks_for_a_process_does_not_look_at_its_files() -> None:
    """Below `PROC`, sockets (net/), limits (sys/) and memory (meminfo) have one reader each."""
    users = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr == "PROC")
        or (isinstance(node, ast.alias) and node.name == "PROC")
    }
    assert users == {"launcher.host.sockets", "launcher.host.kernel", "launcher.host.memory"}

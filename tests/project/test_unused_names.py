"""No public name of launcher/ is there for nothing: each is read in launcher/, outside itself.

What only tests read is reported too: a test of code that nothing runs keeps that code alive.
"""

from fnmatch import fnmatch

from tests.support.imports import modules
from tests.support.unused import Uses

EXCEPTIONS = {
    "launcher.cli.options:EngineName.*": "click's methods of a type of parameters",
    "launcher.bench.result:decode_comparison": "reads what `bench compare --output` writes",
    "launcher.bench.result:Phase.repetition": "in the JSON of bench",
    "launcher.instance.instance_status:Record.ready_for": "in the JSON of status",
    "launcher.instance.show:PlannedFile.mode": "in the JSON of plan",
    "launcher.door.door:Applied.reloaded": "what a change did, for the door's own tests",
    "launcher.engines.*.engine:ENGINE": "engines.get imports the module by its name",
    "launcher.engines.fastdeploy.memory:*": "the module is the engine's MemoryFacts",
    "launcher.observe.figures:Load.ttft_requests": "in the JSON of top",
    "launcher.report.top_pages:*Page.*": "textual's names of a screen",
    "launcher.report.top_view:TopApp.*": "textual's names of an application",
    "launcher.report.*:render": "report.files imports the module by its name",
    "launcher.report.*:render_noted": "report.files imports the module by its name",
    "launcher.preparation.owners:Owners.of_port": "asked by tests only",
    "launcher.profile.json_schema:text": "writes profiles/profile.schema.json, which ships",
    "launcher.pytest_plugin:pytest_*": "pytest's hooks",
    "launcher.pytest_plugin:SmokeItem.*": "pytest's methods of an item",
}
"""Full name, and who reads it. Add one only where the reader cannot be seen in launcher/."""


def unused(**texts: str) -> list[str]:
    return list(Uses(texts).unused())


def test_every_public_name_is_read() -> None:
    texts = {module: path.read_text(encoding="utf-8") for module, path in modules()}
    names = list(Uses(texts).unused())
    assert not [one for one in names if not any(fnmatch(one, pattern) for pattern in EXCEPTIONS)]
    assert not [
        pattern for pattern in EXCEPTIONS if not any(fnmatch(one, pattern) for one in names)
    ]


def test_what_reads_only_itself_is_unused() -> None:
    assert unused(a="def f(n): return f(n - 1)\nLIMIT = 3\nclass C:\n def m(self): self.m()\n") == [
        "a:f", "a:LIMIT", "a:C", "a:C.m",
    ]  # fmt: skip


def test_a_name_is_followed_through_imports() -> None:
    defined = "def f(): ...\ndef g(): ...\ndef h(): ...\n"
    reader = "import p\nfrom p import f as one\nfrom p import a\nprint(one, p.a.g, a)\n"
    assert unused(p="from p.a import f", **{"p.a": defined}, b=reader) == ["p.a:h"]


def test_another_modules_name_is_not_taken_for_this_one() -> None:
    assert unused(a="def f(): ...", b="def f(): ...\nf()") == ["a:f"]


def test_an_import_alone_reads_nothing() -> None:
    assert unused(a="def f(): ...", b="from a import f") == ["a:f"]


def test_what_is_registered_or_named_in_a_text_is_read() -> None:
    assert not unused(a="import x\n@x.command()\ndef f(): ...\ndef g(): ...\nprint('a:g')\n")
    assert unused(a="import x\n@x.cache\ndef f(): ...\n") == ["a:f"]
    member = "class C:\n field: int\n def m(self): ...\nprint(C, 'one.field', 'm')"
    assert unused(a=member) == ["a:C.m"]

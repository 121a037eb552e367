"""The documentation is true where a machine can tell: links, commands, options, profiles, codes.

README, docs/, CONTRIBUTING, CHANGELOG, the runbooks and the READMEs of profiles and tests.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from launcher import engines, profile
from launcher.cli.main import VERBS, group
from launcher.errors import ExitCode
from launcher.smoke.check import all_checks
from launcher.smoke.section import rules
from launcher.smoke.tags import TAGS
from tests.support import ROOT
from tests.support.phrases import ODD_WORDS

PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "profiles").rglob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    )
)
DOCS = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs", ROOT / "deploy/runbooks")]
_FENCE = re.compile(r"^```(?P<tag>.*)\n(?P<text>(?:(?!```).*\n)*)```$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?(?P<target>[^()\s>]+)>?\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """The fragments that forges make of headings: lower case, no punctuation, dashes for spaces."""
    all_anchors: set[str] = set()
    for heading in re.findall(r"^#+ +(.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE):
        title = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        fragment = base = title.replace(" ", "-")
        number = 0
        while fragment in all_anchors:
            number += 1
            fragment = f"{base}-{number}"
        all_anchors.add(fragment)
    return all_anchors


def broken_links(page: Path) -> list[str]:
    broken = []
    for match in _LINK.finditer(without_code(page.read_text())):
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.is_relative_to(ROOT) or not there.exists():
            broken.append(f"{name_of(page)}: {target}: no such file")
        elif fragment and (there.suffix != ".md" or fragment not in anchors(there)):
            broken.append(f"{name_of(page)}: {target}: no such heading")
    return broken


def blocks(page: Path, tag: str) -> list[str]:
    return [m["text"] for m in _FENCE.finditer(page.read_text()) if m["tag"].split()[:1] == [tag]]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Each `ernie-deploy ...` of a block of commands, split as a shell splits it."""
    for page in DOCS:
        lines = [line for text in blocks(page, "bash") for line in text.splitlines()]
        lines += [
            line.removeprefix("$ ")
            for text in blocks(page, "console")
            for line in text.splitlines()
            if line.startswith("$ ")
        ]
        for line in lines:
            for part in re.split(r" \| | && |<\(|\)(?= |$)", line):
                if part.strip().startswith("ernie-deploy "):
                    yield f"{name_of(page)}: {line}", shlex.split(part, comments=True)


LINES = dict(command_lines())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.project.test_docs.ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# One *two*, three\n## Same\n## Same\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md#one-two-three) [b](other.md#same-1) [c](#here) [d](https://x.invalid)\n"
        "`[code](gone.md)` [gone](gone.md) [e](other.md#four) [f](#there)\n"
        "```\n# Not a heading\n[code](gone.md)\n```\n[g](#not-a-heading)\n"
    )
    assert [line.split(": ", 1)[1] for line in broken_links(page)] == [
        "gone.md: no such file",
        "other.md#four: no such heading",
        "#there: no such heading",
        "#not-a-heading: no such heading",
    ]


@pytest.mark.parametrize("line", LINES)
def test_a_command_in_the_documentation_exists_with_its_options(line: str) -> None:
    _, name, *rest = LINES[line]
    command = group.get_command(click.Context(group), name)
    if name.startswith("-"):
        return
    assert command is not None, f"no such command: {name}"
    if isinstance(command, click.Group):
        default = getattr(command, "default", "")
        verb, rest = (rest[0], rest[1:]) if rest[0] in command.commands else (default, rest)
        command = command.commands[verb]
    with command.make_context(name, rest):  # raises for a wrong option or value
        pass


def test_there_are_commands_to_check() -> None:
    assert len(LINES) > 40


def test_every_command_is_in_readme_and_in_the_page_of_commands() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "commands.md"):
        rows = re.findall(r"^\| (`.+?) \|", page.read_text(), re.MULTILINE)
        listed = {word for row in rows for word in re.findall(r"`([a-z]+)", row)}
        assert set(VERBS) <= listed, page


def test_every_exit_code_is_in_the_page_of_commands() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    section = text.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \|", section, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(", ")} == set(ExitCode)


def test_every_tag_is_in_the_page_of_smoke_tests() -> None:
    text = (ROOT / "docs" / "smoke.md").read_text().partition("## Verdicts")[0]
    assert re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE) == list(TAGS)


PROFILES = [
    pytest.param(text, id=f"{name_of(page)}-{number}")
    for page in DOCS
    for number, text in enumerate(blocks(page, "yaml"))
    if re.search(r"^name:", text, re.MULTILINE)
]


@pytest.mark.parametrize("text", PROFILES)
def test_a_profile_in_the_documentation_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text(text)
    loaded = profile.load(tmp_path / "profile.yaml", environ={})
    assert loaded.name == yaml.safe_load(text)["name"]
    assert engines.get(loaded.engine).validate(loaded, None) == []
    assert rules.problems_of(loaded) == []


def test_readme_shows_a_profile() -> None:
    assert any("README.md" in str(param.id) for param in PROFILES)


def test_readme_shows_checks_that_exist() -> None:
    (picture,) = blocks(ROOT / "README.md", "console")
    names = re.findall(r"^  PASS  ([a-z-]+) ", picture, re.MULTILINE)
    assert names
    assert set(names) <= {check.name for check in all_checks()}


def test_the_changelog_has_a_section_for_this_version() -> None:
    from launcher import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\] - (\d{4}-\d{2}-\d{2}|unreleased)$", text, re.MULTILINE)
    assert headings[0][0] == __version__
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_the_words_are_plain_english(page: Path) -> None:
    assert [hit[0] for hit in ODD_WORDS.finditer(without_code(page.read_text()))] == []

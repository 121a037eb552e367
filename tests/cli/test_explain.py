"""`ernie-deploy explain`: every rule, check, error code and exit code has a page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import doctor
from launcher.diagnose import pages
from launcher.engines import rule_books
from launcher.errors import ExitCode
from tests.support.as_json import as_json
from tests.support.cli import Ran
from tests.support.codes import uses

PAGES = json.loads((Path(pages.__file__).parent / "data" / "pages.json").read_text())["errors"]


ELSEWHERE = {"missing-model": 3}
"""Decided far from the code: where it is all that is wrong, profile/loader.py makes it 3."""


def test_every_error_code_has_a_page_with_its_exit_codes() -> None:
    """What the code says stands beside the page; a new code, or another exit code, fails here.

    Where the place alone does not say the exit code (a problem that is collected and raised
    elsewhere), every envelope that a test of the command line reads is held against the page.
    """
    wrong = []
    for use in uses():
        page = PAGES.get(use.code)
        if page is None:
            wrong.append(f"{use.where}: {use.code} has no page")
        elif use.exit_code is not None and use.exit_code not in exits(use.code):
            wrong.append(f"{use.where}: {use.code} is {use.exit_code}, not {exits(use.code)}")
    assert not wrong, "\n".join(wrong)


def test_no_page_has_an_exit_code_or_an_error_that_nothing_says() -> None:
    exit_codes: dict[str, set[int | None]] = {code: {number} for code, number in ELSEWHERE.items()}
    for use in uses():
        exit_codes.setdefault(use.code, set()).add(use.exit_code)
    assert set(PAGES) == set(exit_codes)
    certain = {code: numbers for code, numbers in exit_codes.items() if None not in numbers}
    assert {code: exits(code) for code in certain} == certain
    assert len(certain) > len(exit_codes) / 2


def exits(code: str) -> set[int]:
    page = pages.page((code,))
    assert isinstance(page, pages.ErrorPage)
    return {one.code for one in page.exit_codes}


def test_every_exit_code_has_a_page() -> None:
    for code in ExitCode:
        page = as_json(pages.page(("exit-code", str(int(code)))))
        assert page["title"]
        assert page["meaning"]
        assert page["remedy"]


def test_every_rule_and_every_check_has_a_page() -> None:
    for book in rule_books():
        for entry in book.entries:
            page = as_json(pages.page((entry.id.lower(),)))
            assert page["id"] == entry.id
            assert page["cause"]
    for check in doctor.every_check():
        assert as_json(pages.page((check.id,)))["meaning"] == check.why


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("ED-FD-CUDA-OOM",), "a failure (fastdeploy 2.0"),
        (("ed-fd-ccache-noise",), "noise: harmless"),
        (("exit-code", "4"), "did not start"),
        (("6",), "was ready and died"),
        (("port-taken",), "an error of ernie-deploy, exit code 3"),
        (("leftovers",), "exit code 1 or 3"),
        (("unknown-key",), "Nothing is ever ignored"),
        (("never-ready",), "deploy/runbooks/never-ready.md"),
        (("shm-size",), "a check of `ernie-deploy doctor`"),
    ],
)
def test_pages(arguments: tuple[str, ...], expected: str, run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain", *arguments)
    assert ran.rc == 0, ran.output()
    assert expected in ran.stdout
    assert run_cli("explain", *arguments, "--json").json["data"]["page"]["id"].lower() in (
        arguments[-1].lower(),
    )


def test_without_a_word_every_page_is_listed(run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain")
    assert ran.rc == 0
    listed = {line.split()[0] for line in ran.stdout.splitlines() if line.startswith("  ")}
    rules = {entry.id for book in rule_books() for entry in book.entries}
    assert listed >= rules | set(PAGES) | {check.id for check in doctor.every_check()}
    assert listed >= {"does-not-start", "air-gapped", "130"}
    for word in ("does-not-start", "port-taken", "shm-size", "130", "ED-FD-CUDA-OOM"):
        assert word in listed
        assert pages.page((word,)).id == word


def test_a_page_that_sends_the_reader_on_names_one_that_exists() -> None:
    texts = [page["remedy"] for page in PAGES.values()]
    texts += [e.remedy for book in rule_books() for e in book.entries]
    named = re.findall(r"ernie-deploy explain ([a-z][a-z-]+)", " ".join(texts))
    assert {"air-gapped", "never-ready", "rotate-api-key"} <= set(named)
    assert [pages.page((word,)).kind for word in named] == ["runbook"] * len(named)


@pytest.mark.parametrize("arguments", [("ED-FD-NOPE",), ("exit-code", "99"), ("port-takn",)])
def test_what_nobody_knows(arguments: tuple[str, ...], run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("explain", *arguments, "--json")
    assert ran.rc == 2
    assert ran.json["errors"][0]["code"] == "unknown-page"
    if arguments == ("port-takn",):
        assert "did you mean port-taken?" in ran.json["errors"][0]["message"]

"""Every text report and document, byte for byte, as it lies in `stored/`.

Scripts read plain text, and a reviewer sees in the difference of a stored file what users will see.
After a change of wording: `ERNIE_TEST_STORE=1 pytest tests/report/test_stored_texts.py`, then read
what has changed before it is committed.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.report import html, html_compare, junit, markdown, markdown_compare
from launcher.report.emit import RENDERERS, emit
from launcher.result import Result
from tests.report.verb_results import NOW, SMOKES, TEXTS

STORED = Path(__file__).parent / "stored"
DATA = Path(junit.__file__).parent / "data"
STORE = os.environ.get("ERNIE_TEST_STORE") == "1"


def same_as_stored(name: str, text: str) -> None:
    path = STORED / name
    if STORE:
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes()


@pytest.fixture(autouse=True)
def _one_time_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", "x")))


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_of_a_result(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    emit(TEXTS[name], as_json=False)
    out, err = capsys.readouterr()
    assert err == ""
    same_as_stored(f"{name}.txt", out)


def test_every_verb_has_a_stored_text() -> None:
    assert {result.command for result in TEXTS.values()} == set(RENDERERS)


def test_no_stored_text_is_left_over() -> None:
    texts = {f"{name}.txt" for name in TEXTS}
    documents = {f"{name}.{suffix}" for name in SMOKES for suffix in ("xml", "md", "html")}
    assert {path.name for path in STORED.iterdir()} == texts | documents


DOCUMENTS: list[tuple[str, str, Callable[[Result[Any]], str]]] = [
    (name, suffix, render)
    for name, result in SMOKES.items()
    for suffix, render in (
        ("xml", junit.render),
        ("md", markdown.render if result.command == "smoke" else markdown_compare.render),
        ("html", html.render if result.command == "smoke" else html_compare.render),
    )
]


@pytest.mark.parametrize(
    ("name", "suffix", "render"),
    DOCUMENTS,
    ids=[f"{name}.{suffix}" for name, suffix, _ in DOCUMENTS],
)
def test_a_document(name: str, suffix: str, render: Callable[[Result[Any]], str]) -> None:
    text = render(SMOKES[name])
    for file in ("page.css", "page.js"):  # they have files of their own, and tests in test_html
        text = text.replace((DATA / file).read_text(), f"({file})").replace(
            (DATA / file).read_text().strip(), f"({file})"
        )
    text = re.sub(r"sha256-[\w+/=]+", "sha256-HASH", text)
    same_as_stored(f"{name}.{suffix}", text)

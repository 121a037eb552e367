"""What servers, engines and users write reaches no report as markup or as a terminal command."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import ExitCode
from launcher.report import escape, html, markdown
from launcher.report.files import write_reports
from launcher.result import Result
from tests.support.payloads import result as smoke_result

HOSTILE = {
    "escape sequence": "a\x1b]52;c;ZXZpbA==\x07b\x1b[2J",
    "C1": "a\x9b31mb\x9d0;title\x9c",
    "NUL and DEL": "a\x00b\x7f",
    "carriage return": "100 passed\rFAIL",
    "lone surrogate": "half \ud83d of a pair \udc80",
    "text direction": "a\u202eb\u2066c",
    "line separators": "a\u2028b\u2029c\x85d",
    "not in XML": "a\ufffeb\uffff",
    "backtick": "mo`del",
    "backticks at the ends": "``model`",
    "only backticks": "```",
    "nothing": "",
    "table": "a | b\n| --- |\n# head\n- item",
    "markup": "<script>alert(1)</script> ![x](http://x/y) [a](javascript:b) **c** ~~d~~ &lt;e&gt;",
    "heading": "# head",
    "list": "1. one",
    "attribute": "\"' onload=x",
    "CDATA": "]]> --> <!-- &amp;",
    "mention": "ask @someone",
    "formula": "$x$ {y}",
}


def commands(text: str) -> list[str]:
    """The characters of `text` that are not signs."""
    kinds = ("Cc", "Cs", "Zl", "Zp")
    turn = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff"
    return [c for c in text if (unicodedata.category(c) in kinds and c not in "\t\n") or c in turn]


def result(text: str) -> Result[Any]:
    """A run in which every text that is not ours is `text`."""
    finding = {"code": text, "expected": text, "actual": text}
    exchange = {
        "number": 1,
        "client": text,
        "method": "GET",
        "url": text,
        "headers": {text: text},
        "request": {"a": text},
        "status": None,
        "response_headers": {text: text},
        "response": text,
        "events": [{"at": 0.1, "data": text}],
        "events_total": 1,
        "seconds": 0.1,
        "error": text,
    }
    check = {
        "name": text,
        "client": text,
        "purpose": text,
        "kind": "protocol",
        "requires": [text],
        "verdict": "fail",
        "message": text,
        "seconds": 0.1,
        "rate": {"passes": 0, "runs": 1},
        "findings": [finding],
        "deviations": [],
        "measures": {},
        "evidence": [exchange, {**exchange, "status": 200}, {**exchange, "response": None}],
    }
    deviation = {"id": text, "releases": text, "title": text, "source": text}
    checks = [check, {**check, "deviations": [deviation]}, {**check, "verdict": "pass"}]
    counts = {"pass": 1, "fail": 2, "inconclusive": 0, "could not check": 0, "known deviation": 1}
    data = {
        "target": {"name": text, "model": text, "url": text, "engine": text, "release": text}
        | {"notes": [text]},
        "checks": checks,
        "counts": counts,
        "verdict": "fail",
        "seconds": 1.0,
        "clients": [text],
        "started": "2026-01-01",
        "version": "1",
        "unreachable": None,
        "differences": [{"check": text, "verdicts": {text: text}, "known": False}],
    }
    return smoke_result("smoke", data, None, ExitCode.NEGATIVE)


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_report_can_be_written_and_holds_no_command(kind: str, tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("junit", "html", "markdown")}
    written = write_reports(result(HOSTILE[kind]), **paths)
    assert not written.errors
    for name, path in paths.items():
        assert commands(path.read_text(encoding="utf-8")) == [], name
    ElementTree.parse(paths["junit"])


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_html_report_has_our_elements_only(kind: str) -> None:
    def elements(page: str) -> list[tuple[str, list[str]]]:
        tags: list[tuple[str, list[str]]] = []

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                tags.append((tag, [name for name, _ in attrs]))

        Reader().feed(page)
        return tags

    text = HOSTILE[kind]
    allowed = elements(html.render(result("word" if text else "")))
    assert elements(html.render(result(text))) == allowed


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_markdown_report_keeps_its_shape(kind: str) -> None:
    def shape(document: str) -> list[str]:
        lines = [line for line in document.splitlines() if line.startswith(tuple("|#-"))]
        return [re.sub(r"[^|#-].*", "", line) + str(cells(line)) for line in lines]

    def cells(line: str) -> int:
        return len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0

    text = HOSTILE[kind]
    document = markdown.render(result(text))
    assert shape(document) == shape(markdown.render(result("word")))
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", document.replace("\\`", ""))
    assert "<" not in outside
    assert "`" not in outside
    assert not re.search(r"@\w", outside)


@pytest.mark.parametrize("text", [HOSTILE[k] for k in HOSTILE if "backtick" in k] + ["", "a"])
def test_a_code_span_ends_where_we_end_it(text: str) -> None:
    span = escape.markdown_code(text)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span.removeprefix(fence[0]).removesuffix(fence[0])
    assert fence[0] not in re.findall("`+", inside)
    assert inside.strip() == text
    first, *_, last = escape.markdown_block(text)
    assert first == last
    assert first not in text
    assert first == "```" or first[1:] in text, "no longer than it has to be"


@given(st.text(st.characters(categories=None)))
def test_text_is_kept_where_it_is_text(text: str) -> None:
    visible = escape.visible(text)
    assert commands(visible) == []
    assert escape.visible(visible) == visible
    if not commands(text):
        assert visible == text


def test_unencodable_names_do_not_end_a_run(tmp_path: Path) -> None:
    """A file name that is not UTF-8 comes out of argv with lone surrogates."""
    path = tmp_path / "report"
    named = result("x")
    target = replace(named.payload.target, name="pro\udcfffile.yaml")
    data = replace(named.payload, target=target)
    written = write_reports(replace(named, data=data), markdown=path)
    assert not written.errors
    assert "pro\\\\udcfffile.yaml" in path.read_text(encoding="utf-8")

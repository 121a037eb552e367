"""An SVG of matplotlib becomes a part of the page: nothing that the page's policy refuses."""

from __future__ import annotations

import pytest

from launcher.report.plots.svg import LARGEST, inline

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="0 0 10 10">'
)


def shown(inside: str) -> str:
    return inline(f"{HEAD}{inside}</svg>", "plot", "A title", "What it shows")


def test_a_style_becomes_attributes() -> None:
    text = shown('<path d="M 0 0" style="fill: none; stroke: #0072b2; stroke-width: 1.5"/>')
    assert '<path fill="none" stroke="#0072b2" stroke-width="1.5" d="M 0 0"></path>' in text
    assert "style" not in text


def test_black_is_the_colour_of_the_pages_text() -> None:
    text = shown('<path style="stroke: #000000"/><text style="font: 700 9px Arial">a</text>')
    assert '<path stroke="currentColor">' in text
    assert '<text font-size="9px" font-weight="700">a</text>' in text


def test_ids_and_their_uses_get_the_plots_name() -> None:
    text = shown(
        '<defs><clipPath id="c"><rect/></clipPath></defs>'
        '<g clip-path="url(#c)"><use xlink:href="#m"/></g>'
    )
    assert 'id="plot-c"' in text
    assert 'clip-path="url(#plot-c)"' in text
    assert 'href="#plot-m"' in text


def test_it_has_a_title_and_a_description() -> None:
    text = shown("")
    assert 'role="img" aria-labelledby="plot-title plot-text"' in text
    assert '<title id="plot-title">A title</title>' in text
    assert '<desc id="plot-text">What it shows</desc>' in text


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<style>* {}</style>",
        '<image href="http://a/b.png"/>',
        '<use xlink:href="http://a/b.svg#c"/>',
        '<path onload="alert(1)" d="M 0 0"/>',
        "<foreignObject><p>x</p></foreignObject>",
    ],
)
def test_what_could_load_or_run_something_is_left_out(inside: str) -> None:
    text = shown(inside)
    for word in ("script", "style", "image", "http", "onload", "foreign", "alert"):
        assert word not in text


def test_texts_are_escaped_again() -> None:
    assert "<text>&lt;b&gt; &amp;</text>" in shown("<text>&lt;b&gt; &amp;</text>")


@pytest.mark.parametrize(
    ("svg", "reason"),
    [
        ("no markup", "not XML"),
        ("<p/>", "not an SVG"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "viewBox"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("x" * (LARGEST + 1), "characters"),
    ],
)
def test_anything_else_is_refused(svg: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        inline(svg, "plot", "", "")

"""Makes an SVG of matplotlib a part of a page: no style of its own, the page's colours, own names.

A page's policy allows no style but its own, so each `style` becomes attributes; what is not on the
list of elements and attributes is left out. Black becomes the colour of the page's text, so that a
plot is readable on a dark page and in print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from launcher.report.escape import html as escape

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
ELEMENTS = ("svg", "g", "path", "use", "defs", "clipPath", "rect", "text", "tspan")
ATTRIBUTES = (
    "id", "d", "x", "y", "width", "height", "transform", "viewBox", "clip-path", "fill",
    "fill-opacity", "fill-rule", "opacity", "stroke", "stroke-width", "stroke-linecap",
    "stroke-linejoin", "stroke-miterlimit", "stroke-dasharray", "stroke-dashoffset",
    "stroke-opacity", "text-anchor", "font-size", "font-weight",
)  # fmt: skip
LARGEST = 4 * 1024 * 1024
"""Characters of one SVG; a plot of 8 levels and 10,000 samples has some 0.4 MiB."""
_FONT = re.compile(r"(?:(?P<weight>bold|\d{3})\s+)?(?P<size>[\d.]+px)\b")
_OWN = re.compile(r"url\(#([\w.-]+)\)")
_BLACK = ("#000000", "black", "#000")


def inline(svg: str, name: str, title: str, text: str) -> str:
    """The SVG as an element of a page; `name` makes its ids its own, `text` is its description.

    Raises:
        ValueError: it is not an SVG, or too large.
    """
    if len(svg) > LARGEST:
        raise ValueError(f"a plot has {len(svg)} characters, more than {LARGEST}")
    if "<!ENTITY" in svg:
        raise ValueError("a plot defines entities")
    try:
        root = ElementTree.fromstring(svg)  # noqa: S314  (bounded, and without entities)
    except ElementTree.ParseError as error:
        raise ValueError(f"a plot is not XML: {error}") from None
    if root.tag != f"{NAMESPACE}svg" or "viewBox" not in root.attrib:
        raise ValueError("a plot is not an SVG with a viewBox")
    body = "".join(part for child in root for part in _parts(child, name))
    return (
        f'<svg viewBox="{escape(root.attrib["viewBox"])}" role="img" '
        f'aria-labelledby="{name}-title {name}-text" stroke-linejoin="round" '
        'fill="currentColor">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-text">{escape(text)}</desc>{body}</svg>'
    )


def _parts(element: ElementTree.Element, name: str) -> Iterator[str]:
    tag = element.tag.removeprefix(NAMESPACE)
    if tag not in ELEMENTS:
        return
    attributes = {**_styled(element.attrib.get("style", "")), **element.attrib}
    text = "".join(
        f' {key}="{escape(_value(key, value, name))}"'
        for key, value in attributes.items()
        if key in ATTRIBUTES
    )
    link = element.attrib.get(LINK, "")
    if link.startswith("#"):
        text += f' href="#{name}-{escape(link[1:])}"'
    yield f"<{tag}{text}>"
    if tag in ("text", "tspan") and element.text:
        yield escape(element.text)
    for child in element:
        yield from _parts(child, name)
    yield f"</{tag}>"


def _value(key: str, value: str, name: str) -> str:
    value = _OWN.sub(rf"url(#{name}-\1)", value)
    if key == "id":
        return f"{name}-{value}"
    if key in ("fill", "stroke") and value in _BLACK:
        return "currentColor"
    return value


def _styled(style: str) -> Mapping[str, str]:
    """The declarations of a `style`; of `font` its size and weight: the page has the family."""
    declarations: dict[str, str] = {}
    for one in style.split(";"):
        key, _, value = (part.strip() for part in one.partition(":"))
        match = _FONT.match(value) if key == "font" else None
        if match is not None:
            declarations["font-size"] = match["size"]
            if match["weight"]:
                declarations["font-weight"] = match["weight"]
        elif key and value:
            declarations[key] = value
    return declarations

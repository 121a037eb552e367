"""The rules of the JUnit schema that Ant's task is held to, in our own words, and a judge of them.

For each element: what it may hold, as a pattern over the names of its children, and its attributes
with the pattern of each value; `?` after a name marks one that may be missing. Anything else is an
error, as in a schema.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

WORD = r".*\S.*"
INT = r"[+-]?\d+"
DECIMAL = r"[+-]?(\d+(\.\d*)?|\.\d+)"
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
ANY = r".*"

RULES: dict[str, tuple[str, dict[str, str]]] = {
    "testsuites": (r"(testsuite )*", {}),
    "testsuite": (
        r"properties (testcase )*system-out system-err ",
        {
            "name": WORD,
            "timestamp": TIME,
            "hostname": WORD,
            "tests": INT,
            "failures": INT,
            "errors": INT,
            "skipped?": INT,
            "time": DECIMAL,
            "package": ANY,
            "id": INT,
        },
    ),
    "properties": (r"(property )*", {}),
    "property": (r"", {"name": WORD, "value": ANY}),
    "testcase": (
        r"((skipped|error|failure) )?",
        {"name": ANY, "classname": ANY, "time": DECIMAL},
    ),
    "skipped": (r"", {"message?": ANY}),
    "error": (r"", {"message?": ANY, "type": ANY}),
    "failure": (r"", {"message?": ANY, "type": ANY}),
    "system-out": (r"", {}),
    "system-err": (r"", {}),
}
TEXT = {"error", "failure", "system-out", "system-err", "skipped"}


def violations(document: str) -> list[str]:
    """What of `document` the schema forbids, and the sums that do not add up."""
    root = ElementTree.fromstring(document.encode())
    all_violations = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        if element.tag not in RULES:
            all_violations.append(f"unknown element {element.tag}")
            continue
        content, attributes = RULES[element.tag]
        children = "".join(f"{child.tag} " for child in element)
        if not re.fullmatch(content, children):
            all_violations.append(f"{element.tag} holds {children!r}")
        if element.tag not in TEXT and (element.text or "").strip():
            all_violations.append(f"{element.tag} holds text")
        if any((child.tail or "").strip() for child in element):
            all_violations.append(f"{element.tag} holds text between its elements")
        patterns = {name.rstrip("?"): pattern for name, pattern in attributes.items()}
        all_violations += [f"{element.tag} has {name}" for name in element.keys() - patterns.keys()]
        for name, pattern in attributes.items():
            value = element.get(name.rstrip("?"))
            if value is None and not name.endswith("?"):
                all_violations.append(f"{element.tag} lacks {name}")
            elif value is not None and not re.fullmatch(pattern, value, re.DOTALL):
                all_violations.append(f"{element.tag} {name}={value!r}")
    return all_violations + [v for suite in root.iter("testsuite") for v in _sums(suite)]


def _sums(suite: ElementTree.Element) -> list[str]:
    cases = suite.findall("testcase")
    counted = {"tests": len(cases)}
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counted[attribute] = sum(case.find(tag) is not None for case in cases)
    return [
        f"{name}={suite.get(name)!r}, counted {number}"
        for name, number in counted.items()
        if suite.get(name) != str(number)
    ]

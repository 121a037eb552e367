"""What `explain` has a page for."""

from __future__ import annotations

import pytest

from launcher.diagnose.pages import ExitCodePage, PageTitle, index, page
from launcher.errors import UsageError


@pytest.mark.parametrize("names", [("4",), ("exit-code", "4"), ("exit", "4")])
def test_an_exit_code_is_called_by_its_number(names: tuple[str, ...]) -> None:
    text = page(names)
    assert isinstance(text, ExitCodePage)
    assert text.id == "4"


@pytest.mark.parametrize(
    ("names", "query"),
    [
        (("77",), "'77'"),
        (("exit-code", "77"), "'exit-code 77'"),
        (("exit-code", "4", "5"), "'exit-code 4 5'"),
        (("no-such-page",), "'no-such-page'"),
        (("two", "names"), "'two names'"),
    ],
)
def test_what_has_no_page_is_a_usage_error(names: tuple[str, ...], query: str) -> None:
    with pytest.raises(UsageError, match=f"nothing is known of {query}"):
        page(names)


def test_a_number_that_is_no_exit_code_is_compared_with_those_only() -> None:
    """Names of rules and checks hold numbers, too."""
    with pytest.raises(UsageError, match=r"nothing is known of '14'; did you mean 143\?"):
        page(("14",))


def test_each_title_says_what_its_page_is_about() -> None:
    titles = [title for kind in index().kinds().values() for title in kind]
    assert all(title.about for title in titles)
    assert PageTitle("x", title="a check").about == "a check"
    assert PageTitle("x", cause="the disk is full").about == "the disk is full"
    assert PageTitle("x").about == ""

"""Which answer belongs to which question."""

import pytest

from launcher.smoke.checks.belonging import is_of_another

TEXTS = [("hello", "Hi!"), ("count", "1 to 10"), ("capital", "Paris"), ("count", "1 to 20")]
"""The same question was answered in two ways."""


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("count", "1 to 20", False),
        ("count", "1 to 10", False),
        ("count", "1 to 15", False),
        ("count", "Paris", True),
        ("hello", "1 to 10", True),
    ],
)
def test_only_the_answer_to_another_question_is_anothers(
    question: str, text: str, expected: bool
) -> None:
    assert is_of_another(TEXTS, question, text) is expected

"""`service.dialects`: which names are taken, and that OpenAI's is always among them."""

import pytest

from tests.profile.conftest import More, Refused


@pytest.mark.parametrize(
    ("written", "dialects"),
    [
        ("[openai, anthropic]", ["openai", "anthropic"]),
        ("[anthropic, openai]", ["anthropic", "openai"]),
        ("[openai, openai]", ["openai"]),
        ("openai", ["openai"]),
    ],
)
def test_dialects(more: More, written: str, dialects: list[str]) -> None:
    assert more(f"service: {{dialects: {written}}}")["service"]["dialects"] == dialects


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("[openai, gemini]", "unknown-value"),
        ("[openai, [anthropic]]", "unknown-value"),
        ("[anthropic]", "bad-value"),
        ("[]", "bad-value"),
    ],
)
def test_dialects_that_are_refused(refused: Refused, written: str, code: str) -> None:
    assert code in [problem[0] for problem in refused(f"service: {{dialects: {written}}}")]

"""A line of a profile that an error quotes shows no secret, whatever holds or hides it."""

import pytest

from launcher.profile.quoting import quote

SECRET = "hunter2hunter2"


def position(text: str, part: str) -> tuple[int, int]:
    """Line and column, from 1, of `part` in `text`."""
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(
    "text",
    [
        f"env: {{BAIDU_AK: {SECRET}, X: HERE}}",
        f"env:\n  BAIDU_AK: {SECRET} # HERE",
        f"env: {{API_KEY: '{SECRET}', X: HERE}}",
        f"api-key: {SECRET} HERE",
        f"headers: {{Authorization: Basic {SECRET}, X: HERE}}",
        f"headers: {{Cookie: [{SECRET}, a], X: HERE}}",
        f"env:\n  DB_PASSWORD: |\n    {SECRET}\n    HERE\n",
        f"env: {{DB_PASSWORD:\n{SECRET},\nX: 1}} # HERE",
        f"env: {{DB_PASSWORD:\n  [a, {SECRET}, HERE]}}",
        f"body: {{token: {{a: {SECRET}, b: HERE}}}}",
        f"a: &x {SECRET} HERE\nenv: {{API_KEY: *x}}",
        f"a: &x [{SECRET}, HERE]\nenv: {{API_KEY: *x}}",
        f"a: &x k\nb: {{*x : 1, SECRET_KEY: {SECRET}, X: HERE}}",
        f"# API_KEY={SECRET} HERE",
        f"# --access-key: {SECRET} HERE",
        f"url: http://me:{SECRET}@host # HERE",
        f"a: sk-{SECRET}{SECRET} HERE",
        f"API_KEY: \"{SECRET}\n  {SECRET} HERE",  # never closed: not YAML
        f"x: [\nAPI_KEY: {SECRET} HERE",
        f"API_KEY:\n  {SECRET}: : HERE",
        f"engine-args: {{hf-token: {SECRET}, x: HERE}}",
        f'{{"env": {{"BAIDU_SK": "{SECRET}", "X": "HERE"}}}}',
    ],
)  # fmt: skip
def test_no_secret_is_shown(text: str) -> None:
    quoted = quote(text, *position(text, "HERE"))
    assert quoted is not None
    assert SECRET not in quoted.text
    every = [quote(text, line + 1, 1) for line in range(text.count("\n") + 1)]
    assert all(SECRET not in one.text for one in every if one)
    if "HERE" in quoted.text:
        assert quoted.text[quoted.column :].startswith("HERE"), "the caret moves with the mask"


def test_what_an_error_calls_a_secret_is_masked_whatever_its_key_is() -> None:
    text = "engine-args:\n  - x\n  - abc123\n"
    plain = quote(text, 3, 5)
    assert plain is not None
    assert "abc123" in plain.text
    masked = quote(text, 3, 5, {(3, 5)})
    assert masked is not None
    assert (masked.text, masked.column) == ("  - [redacted]", 4)


def test_a_reference_and_a_plain_value_stay() -> None:
    text = "env: {API_KEY: env:MY_KEY, DEBUG: on}"
    quoted = quote(text, *position(text, "DEBUG"))
    assert quoted is not None
    assert (quoted.text, quoted.column) == (text, text.index("DEBUG"))


@pytest.mark.parametrize(("line", "column"), [(0, 1), (3, 1), (10**9, 1)])
def test_a_line_that_is_not_there(line: int, column: int) -> None:
    assert quote("a: 1\nb: 2", line, column) is None


def test_a_column_that_is_not_there_is_the_end() -> None:
    quoted = quote("a: 1", 1, 99)
    assert quoted is not None
    assert quoted.column == 4

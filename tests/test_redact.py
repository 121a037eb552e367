"""Secrets are taken out of what is shown, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.redact import MASK, Redactor


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MASK}"),
        ("FD_API_KEY=abcdef123456", f"FD_API_KEY={MASK}"),
        ("export HF_TOKEN=1a2b3c4d5e6f", f"export HF_TOKEN={MASK}"),
        ('{"HF_TOKEN": "abc def ghi"}', f'{{"HF_TOKEN": "{MASK}"}}'),
        ("{'password': 'hunter2 and more'}", f"{{'password': '{MASK}'}}"),
        ("api_key=['first-key', 'other']", f"api_key=['{MASK}', 'other']"),
        ("serve --api-key s3cr3t --port 80", f"serve --api-key {MASK} --port 80"),
        ("['--api-key', 's3cr3t', '--port']", f"['--api-key', '{MASK}', '--port']"),
        ("AWS_SECRET_ACCESS_KEY=9wJalrXUtnFEMI/K7", f"AWS_SECRET_ACCESS_KEY={MASK}"),
        ("HTTPS_PROXY=http://me:pass@proxy:80", f"HTTPS_PROXY=http://me:{MASK}@proxy:80"),
        ("got sk-abcdefghijklmnop1234", f"got {MASK}"),
        ("and hf_ABCDEFGHIJKLMNOPQRST", f"and {MASK}"),
        ("password: perfect-horse", f"password: {MASK}"),
        ("PASSWORD=none-of-your-business", f"PASSWORD={MASK}"),
    ],
)
def test_what_looks_like_a_secret(text: str, redacted: str) -> None:
    assert Redactor().text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=131072 prompt_tokens: 17",
        "api_key=None token: null",
        "Loading tokenizer: ernie4_5_tokenizer from /models/tiny",
        "the token limit of this model is 131072 tokens per request",
        "tokens per second: 420.5",
        "INFO: 127.0.0.1:51234 - POST /v1/chat/completions 200",
        "Loading weights: 100%|██████████| 14/14",
        "http://127.0.0.1:8180/v1 and 12:34:56@host",
        "api-key: <hidden>",
    ],
)
def test_what_is_none_is_left(text: str) -> None:
    assert Redactor().text(text) == text


def test_known_values_are_found_wherever_they_stand() -> None:
    redactor = Redactor(["correct-horse", "correct-horse-battery"])
    assert redactor.text("x=correct-horse-battery;y=correct-horse") == f"x={MASK};y={MASK}"


def test_a_known_value_is_found_quoted_and_line_by_line() -> None:
    secret = 'a"quote\nand-a-second-line'
    redactor = Redactor([secret])
    assert redactor.text(r'{"k": "a\"quote\nand-a-second-line"}') == f'{{"k": "{MASK}"}}'
    assert redactor.text("and-a-second-line") == MASK


def test_what_is_too_short_to_be_a_secret_does_not_eat_the_text() -> None:
    assert Redactor(["", "a", "abc"]).text("abc a") == "abc a"


@given(st.text(min_size=4, max_size=40).filter(lambda s: s not in MASK), st.text(), st.text())
def test_a_known_value_never_survives(secret: str, before: str, after: str) -> None:
    redacted = Redactor([secret]).text(before + secret + after)
    assert secret not in redacted.replace(MASK, "") or secret in before + after


def test_redaction_is_done_once() -> None:
    redactor = Redactor(["correct-horse"])
    once = redactor.text("api_key=correct-horse Bearer xyz123")
    assert redactor.text(once) == once


def test_a_long_log_without_secrets_is_read_quickly() -> None:
    """A pattern that begins with `[\\w-]*` needs quadratic time for a long word."""
    import time

    began = time.process_time()
    Redactor().text("x" * 200_000 + " token " + "y" * 200_000)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "record",
    [
        "base_processor.py[line:373] Start processing request dict: {'prompt': 'my diagnosis'}",
        "base_processor.py[line:467] Processed request dict: {'messages': ['my diagnosis']}",
        "ernie4_5_processor.py[line:120] Processed request: {'prompt': 'my diagnosis'}",
        'serving_chat.py[line:767] Chat response: {"content": "my diagnosis"}',
        'api_server.py[line:579] Completion Received request: {"prompt": "my diagnosis"}',
        'serving_chat.py[line:70] Chat Streaming response send_idx 0: {"content": "my diagnosis"}',
        'serving_chat.py[line:71] Chat Streaming response last send: {"content": "my diagnosis"}',
    ],
)
def test_what_clients_asked_and_got_is_left_out_of_what_is_shown(record: str) -> None:
    text = f"INFO     2026-11-27 20:31:27,526 32657 {record}\nthe next line"
    redacted = Redactor().text(text)
    assert "my diagnosis" not in redacted
    assert redacted.startswith(text[:60])
    assert redacted.endswith("\nthe next line")


@pytest.mark.parametrize(
    "text",
    [
        "create chat completion request: chatcmpl-01203bff",
        "Too many requests,current max concurrency is 2",
        "Received request: chatcmpl-5",
        'INFO 127.0.0.1:1 - "POST /v1/chat/completions HTTP/1.1" 200',
    ],
)
def test_a_line_about_a_request_without_its_text_stays(text: str) -> None:
    assert Redactor().text(text) == text

"""A secret never stands in a profile, and is never repeated when it does."""

import os
import subprocess
from pathlib import Path

import pytest

from launcher.errors import PreconditionError
from launcher.profile import secrets
from launcher.profile.secrets import resolve
from tests.profile.conftest import Load, Refused

SECRET = "sk-live-4f9d1c77"
HEAD = "name: a\nengine: vllm\nmodel: a/b\n"
HOSTED = "name: a\nengine: hosted\nmodel: a/b\nbase-url: https://x/v1\n"


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (f"{HEAD}api-key: {SECRET}\n", "4:10"),
        (f"{HEAD}api-key: env:{SECRET}\n", "4:10"),
        (f"{HEAD}api-key: 'Env:{SECRET}'\n", "4:10"),
        (f"{HEAD}api-key: file://{SECRET}\n", "4:10"),
        (f"{HEAD}api-key: [{SECRET}]\n", "4:10"),
        (f"{HEAD}api-key: ${{GIVEN}}\n", "4:10"),
        (f"{HEAD}api-key: ${{MY_KEY}}\n", "4:10"),
        (f"{HEAD}env: {{HF_TOKEN: {SECRET}}}\n", "4:17"),
        (f"{HEAD}env: {{AUTH: hf_{'Ab3' * 8}}}\n", "4:13"),
        (f"{HEAD}env: {{HTTPS_PROXY: 'http://me:{SECRET}@proxy:80'}}\n", "4:20"),
        (f"{HEAD}engine-args: {{router: 'http://me:{SECRET}@proxy:80'}}\n", "4:23"),
        (f"{HEAD}engine-args: {{routers: ['http://me:{SECRET}@proxy:80']}}\n", "4:25"),
        (f"{HEAD}env: {{FD_API_KEY: {SECRET}}}\n", "4:19"),
        (f"{HEAD}env: {{DB_PASSWORD: {SECRET}}}\n", "4:20"),
        (f"{HEAD}env: HF_TOKEN={SECRET}\n", "4:6"),
        (f"{HEAD}env: {{OTHER: '${{MY_KEY}}'}}\n", "4:14"),
        (f"{HEAD}engine-args: {{api-key: {SECRET}}}\n", "4:24"),
        (f"{HEAD}engine-args: {{hf-token: {SECRET}}}\n", "4:25"),
        (f"{HEAD}engine-args: {{json: {{password: {SECRET}}}}}\n", "4:32"),
        (f"{HOSTED}headers: {{Authorization: Bearer {SECRET}}}\n", "5:26"),
        (f"{HOSTED}headers: {{x-api-key: {SECRET}}}\n", "5:22"),
        (f"{HOSTED}headers: {{X-Title: Bearer {SECRET}}}\n", "5:20"),
        (f"{HOSTED}body: {{key: {SECRET}}}\n", "5:13"),
        (f"{HOSTED.replace('https://', f'https://me:{SECRET}@')}", "4:11"),
    ],
)
def test_a_secret_in_clear(refused: Refused, text: str, location: str) -> None:
    problems = refused(text, {"MY_KEY": SECRET, "GIVEN": SECRET})
    assert any(where == f"p.yaml:{location}" for _, where, _, _ in problems), problems
    assert SECRET not in repr(problems)
    assert "Ab3Ab3" not in repr(problems)


def test_references_are_kept_and_never_resolved(load: Load) -> None:
    got = load(
        HEAD + "api-key: env:MY_KEY\nenv: {HF_TOKEN: 'env:MY_KEY', A_KEY: 'cmd:pass a'}\n",
        {"MY_KEY": SECRET},
    )
    assert got.env == {"HF_TOKEN": "env:MY_KEY", "A_KEY": "cmd:pass a"}
    assert SECRET not in repr(got)


def test_a_switch_named_like_a_secret_is_none(load: Load) -> None:
    got = load(HEAD + "env: {HF_HUB_DISABLE_IMPLICIT_TOKEN: 1}\nengine-args: {hf-token: true}\n")
    assert got.env == {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    assert got.engine_args == {"hf-token": True}


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
def test_a_secret_from_a_file_has_no_line_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text, newline="")
    assert resolve(f"file:{path}") == SECRET


def test_a_secret_from_a_pipe_is_waited_for() -> None:
    """`ERNIE_KEY=file:/dev/fd/63`, as a shell's `<(pass ernie)` makes it."""
    read, write = os.pipe()
    writer = subprocess.Popen(["sh", "-c", f"sleep 0.2; echo {SECRET}"], stdout=write)
    os.close(write)
    try:
        assert resolve(f"file:/dev/fd/{read}") == SECRET
    finally:
        writer.wait()
        os.close(read)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"x" * 20_000, "more than 16 KiB"),
        (b"one\ntwo", "line break"),
        (b"one\0two", "control character"),
        (b"\xff\xfe", "cannot be read (UnicodeDecodeError)"),
    ],
)
def test_what_is_no_secret(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    for reference in (f"file:{path}", f"cmd:cat {path}"):
        with pytest.raises(PreconditionError) as caught:
            resolve(reference)
        error_message = caught.value.problems[0].message
        assert reference in error_message
        if reference.startswith("file:"):
            assert expected in error_message
        assert "x" * 30 not in error_message


def test_a_whole_disk_is_no_secret() -> None:
    with pytest.raises(PreconditionError, match="more than 16 KiB"):
        resolve("file:/dev/zero")


def test_a_pipe_without_a_writer_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "COMMAND_DEADLINE", 0.2)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(PreconditionError, match=r"cannot be read \(TimeoutError\)"):
        resolve(f"file:{path}")


def test_a_command_without_an_end_is_no_secret() -> None:
    with pytest.raises(PreconditionError, match="printed more than 16 KiB"):
        resolve("cmd:cat /dev/zero")
    with pytest.raises(PreconditionError, match="not UTF-8"):
        resolve(r"cmd:printf '\377\376'")

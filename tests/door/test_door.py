"""The front door under its keeper: start, changes, refusals, and the end of its processes."""

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from launcher.door.config import DoorSettings, Server, render
from launcher.door.door import Applied, apply, config_path, door_of, start
from launcher.door.master import processes
from launcher.door.profile import door_name, door_profile
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.store import InstanceDir, instance_dir
from launcher.instance.teardown import down
from tests.door.conftest import MakeReplica
from tests.support.waiting import wait_for

SETTINGS = DoorSettings("chat")


class Service:
    """A started front door."""

    def __init__(self, home: Path, settings: DoorSettings, servers: Sequence[Server]) -> None:
        self.settings = settings
        config = home / "services" / "chat" / "haproxy.cfg"
        profile = door_profile(settings, config, drain=5.0)
        result = start(profile, settings, servers, on_event=lambda _: None)
        assert result.exit_code is ExitCode.DONE, result.errors
        self.instance: InstanceDir = instance_dir(door_name("chat"))
        self.door = door_of(self.instance)

    def ask(self) -> str:
        """Which replica answers."""
        port = self.instance.ports()["api"]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as one:
            one.request("POST", "/v1/chat/completions", b"{}")
            return str(json.loads(one.getresponse().read())["replica"])

    def is_serving(self) -> bool:
        """Whether a request is answered now."""
        try:
            return bool(self.ask())
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    def pids(self) -> tuple[int, int]:
        """Master and worker."""
        state = self.instance.state()
        now = processes(Path(self.instance.plan().temporary_folder) / "master.sock")
        assert state is not None
        assert now is not None
        assert now.worker is not None
        status = Path(f"/proc/{now.worker}/status").read_text()
        return int(status.partition("PPid:")[2].split()[0]), now.worker


@pytest.fixture
def service(home: Path, replica: MakeReplica) -> Iterator[Service]:
    """A door before the replicas `a` and `b`."""
    running = Service(home, SETTINGS, [replica("a").server(), replica("b").server()])
    yield running
    assert down(running.instance).exit_code is ExitCode.DONE


def servers_of(service: Service) -> list[Server]:
    return [
        Server(one.name, one.address, one.port, one.ready_port, one.weight)
        for one in service.door.servers()
    ]


def test_changes_are_made_in_file_and_process(service: Service, replica: MakeReplica) -> None:
    first, second = servers_of(service)
    path = config_path(service.instance)
    assert path.stat().st_mode & 0o777 == 0o600
    third = replica("c").server()

    applied = apply(SETTINGS, [first, second, third])
    assert (applied.reloaded, applied.added) == (False, ("c",))
    assert path.read_text() == render(SETTINGS, [first, second, third])
    assert apply(SETTINGS, [first, second, third]) == Applied()

    drained = dataclasses.replace(first, weight=0)
    assert apply(SETTINGS, [drained, second, third]).changed == ("a",)
    assert {service.ask() for _ in range(20)} == {"b", "c"}
    assert apply(SETTINGS, [second, third]).removed == ("a",)

    other = dataclasses.replace(SETTINGS, retry_after=11)
    assert apply(other, [third]).reloaded
    assert [one.name for one in service.door.servers()] == ["c"]
    assert path.read_text() == render(other, [third])


def test_a_change_that_was_cut_off_is_completed(service: Service) -> None:
    """File and process differ after a `deploy` that was killed between the two."""
    first, _ = servers_of(service)
    config_path(service.instance).write_text(render(SETTINGS, [first]))
    assert apply(SETTINGS, [first]).removed == ("b",)
    second = dataclasses.replace(SETTINGS, retry_after=11)
    config_path(service.instance).write_text(render(second, [first]))
    assert apply(second, [first]).reloaded


def test_a_configuration_that_haproxy_refuses_changes_nothing(
    service: Service, tmp_path: Path
) -> None:
    before, frame = config_path(service.instance).read_text(), service.door.frame()
    # A larger buffer than HAProxy takes: its own check refuses it.
    broken = dataclasses.replace(SETTINGS, retry_buffer=2**40)
    with pytest.raises(PreconditionError) as caught:
        apply(broken, servers_of(service))
    assert caught.value.problems[0].code == "door-config-refused"
    assert "tune.bufsize" in str(caught.value)
    assert config_path(service.instance).read_text() == before
    assert service.door.frame() == frame
    assert service.is_serving()


@pytest.mark.parametrize("changes", [{"port": 1}, {"address": "::1"}, {"certificate": "/x.pem"}])
def test_address_port_and_tls_need_a_restart(service: Service, changes: dict[str, object]) -> None:
    with pytest.raises(PreconditionError) as caught:
        apply(dataclasses.replace(SETTINGS, **changes), servers_of(service))  # type: ignore[arg-type]
    assert caught.value.problems[0].code == "door-fixed"


@pytest.mark.parametrize("victim", ["master", "worker"])
def test_a_killed_process_is_replaced_with_the_same_servers(
    service: Service, replica: MakeReplica, victim: str
) -> None:
    added = replica("c").server(weight=7)
    apply(SETTINGS, [*servers_of(service), added])
    before = servers_of(service)
    pids = service.pids()
    os.kill(pids[0] if victim == "master" else pids[1], signal.SIGKILL)

    def is_replaced() -> bool:
        state = service.instance.state()
        return state is not None and state.restarts == 1 and state.state == "ready"

    wait_for(is_replaced, "the keeper has restarted HAProxy")
    assert service.is_serving()
    assert not set(service.pids()) & set(pids)
    assert servers_of(service) == before
    assert apply(SETTINGS, before) == Applied()


def test_a_stop_lets_a_stream_end(home: Path, replica: MakeReplica) -> None:
    one = replica("a")
    one.behaviour = "stream"
    service = Service(home, SETTINGS, [one.server()])
    port = service.instance.ports()["api"]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request("POST", "/v1/chat/completions", b"{}", {"Connection": "close"})
    answer = client.getresponse()
    answer.readline()

    threading.Timer(0.5, one.release.set).start()
    assert down(service.instance).exit_code is ExitCode.DONE
    assert answer.read().endswith(b"data: [DONE]\n\n")
    client.close()


def test_the_log_is_private_and_a_door_that_does_not_run_is_named(
    home: Path, replica: MakeReplica
) -> None:
    service = Service(home, SETTINGS, [replica("a").server()])
    servers = servers_of(service)
    assert service.ask() == "a"
    wait_for(lambda: "access id=" in service.instance.engine_log.read_text(), "the access log")
    assert service.instance.engine_log.stat().st_mode & 0o777 == 0o600
    assert down(service.instance).exit_code is ExitCode.DONE
    with pytest.raises(PreconditionError) as caught:
        apply(SETTINGS, servers)
    assert caught.value.problems[0].code == "door-not-running"

"""What a rollout does where something is in its way."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import requests

from launcher.keeper.events import read_events
from tests.support import ports, processes
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for

LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
sys.stdin.read()
"""
"""Another program on the front door's port, until its input ends."""


def test_a_first_deploy_that_fails_leaves_nothing(shop: ServiceRig) -> None:
    ran = shop.run("deploy", shop.write({"before": [{"exit": 3}]}), "--json")
    assert ran.rc == 4, ran.output()
    state = shop.state
    assert (state["members"], state["door"], state["rollout"]) == ([], None, None)
    assert not processes.of_home(shop.home)
    assert shop.history()[0]["outcome"] == "rolled-back"
    assert shop.deploy().json["data"]["outcome"] == "serving"


def test_settings_of_the_door_change_without_new_replicas(shop: ServiceRig) -> None:
    shop.deploy()
    before = shop.members()
    with shop.load(3) as load:
        load.wait_for(10)
        ran = shop.run("deploy", shop.write(fresh=False, door={"queue-timeout": "7s"}), "--json")
        assert ran.rc == 0, ran.output()
        load.wait_for(10)
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert shop.members() == before
    rules = (shop.home / "services" / "shop" / "haproxy.cfg").read_text()
    assert "timeout queue 7000ms" in rules


def test_the_doors_port_cannot_change_while_it_serves(shop: ServiceRig) -> None:
    shop.deploy()
    before = shop.state
    second = ports.free_port()
    ran = shop.run("deploy", shop.write(fresh=False, door={"port": second}), "--json")
    assert ran.rc == 3, ran.output()
    assert shop.errors(ran) == ["door-fixed"]
    after = shop.state
    assert after["members"] == before["members"]
    assert after["rollout"] is None
    assert after["section"] == before["section"]


def test_a_port_that_is_taken_is_told_and_nothing_runs(shop: ServiceRig) -> None:
    with subprocess.Popen(
        ["python3", "-c", LISTENER, str(shop.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as second:  # fmt: skip
        assert second.stdout is not None
        assert second.stdout.readline() == b"up\n"
        ran = shop.run("deploy", shop.write(), "--json")
        assert second.stdin is not None
        second.stdin.close()
    assert ran.rc == 3, ran.output()
    assert str(shop.port) in ran.json["errors"][0]["message"]
    assert not processes.of_home(shop.home)


def test_a_haproxy_that_is_killed_comes_back_with_the_same_replicas(shop: ServiceRig) -> None:
    shop.deploy()
    os.kill(shop.engine("shop-door"), signal.SIGKILL)
    url = f"http://127.0.0.1:{shop.port}/v1/models"

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(url, timeout=10).status_code == 200
        return False

    wait_for(lambda: shop.stored("shop-door")["restarts"] == 1, "the restart of the door")
    wait_for(answers, "an answer through the door")
    wait_for(lambda: shop.status["condition"] == "serving", "the service")
    assert [one["door"] for one in shop.status["members"]] == ["up", "up"]


def test_only_one_command_changes_a_service(shop: ServiceRig) -> None:
    shop.deploy()
    hold = shop.path("go-on")
    process = shop.spawn_deploy(shop.write({"before": [{"wait": hold}]}, file="slow"),
                                "--message", "a new context length")  # fmt: skip
    shop.wait_for_action("start")
    second = shop.run("deploy", shop.write(file="other"), "--json")
    assert second.rc == 3
    assert shop.errors(second) == ["service-locked"]
    assert "deploy): a new context length is changing shop" in second.json["errors"][0]["message"]
    row = shop.status
    assert row["condition"] == "changing"
    assert "a new context length" in row["message"]
    Path(hold).touch()
    assert process.wait(600) == 0


def test_recreate_that_fails_starts_the_old_revision_again(shop: ServiceRig) -> None:
    first = shop.deploy().json["data"]["revision"]
    path = shop.write({"before": [{"exit": 3}]})
    ran = shop.run("deploy", path, "--strategy", "recreate", "--json")
    assert ran.rc == 4, ran.output()
    assert shop.state["revision"] == first
    assert shop.status["condition"] == "serving"


def test_where_the_way_back_fails_too_the_state_says_so_and_abort_repairs_it(
    shop: ServiceRig,
) -> None:
    broken = Path(shop.path("broken"))
    shop.deploy({"before": [{"count-down": str(broken)}]})
    broken.write_text("2")  # neither of the two old replicas starts again
    path = shop.write({"before": [{"exit": 3}]})
    ran = shop.run("deploy", path, "--strategy", "recreate", "--json")
    assert ran.rc == 6, ran.output()
    assert "the way back to the old revision failed" in ran.json["errors"][0]["message"]
    row = shop.status
    assert row["condition"] == "interrupted"
    assert row["rollout"]["direction"] == "back"
    broken.unlink()
    repaired = shop.run("deploy", "--abort", "shop", "--json")
    assert repaired.rc == 0, repaired.output()
    assert shop.status["condition"] == "serving"


def test_no_replica_left_is_503_with_retry_after(shop: ServiceRig) -> None:
    shop.deploy(replicas=1, restart={"policy": "never"})
    os.kill(shop.engine(shop.members()[0]), signal.SIGKILL)

    def answer() -> requests.Response:
        return requests.post(
            f"http://127.0.0.1:{shop.port}/v1/chat/completions", json={"messages": []}, timeout=60
        )

    wait_for(lambda: answer().status_code == 503, "503")
    response = answer()
    assert int(response.headers["Retry-After"]) > 0
    assert response.json()["error"]["code"] == "no_replica"
    assert response.headers["X-Request-ID"]
    assert shop.status["condition"] == "down"


def test_canary_steps_give_shares_of_the_traffic(shop: ServiceRig) -> None:
    shop.deploy(replicas=1)
    path = shop.write(
        replicas=1, rollout={"canary": ["10%", "50%"], "canary-watch": "0.5s", "watch": "0.5s"}
    )
    ran = shop.run("deploy", path, "--json")
    assert ran.rc == 0, ran.output()
    events = [json.loads(line) for line in ran.stdout.splitlines()[:-1]]
    shares = [one["share"] for one in events if one.get("action") == "traffic"]
    assert shares == [0.1, 0.5, 1.0]


def test_the_door_speaks_tls_with_the_certificate_of_the_profile(
    shop: ServiceRig, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    door = {"certificate": f"file:{certificate}", "key": f"file:{key}"}
    data = shop.deploy(None, replicas=1, door=door).json["data"]
    assert data["url"].startswith("https://")
    kept = shop.home / "services" / "shop" / "door.pem"
    assert kept.stat().st_mode & 0o777 == 0o600
    response = requests.get(
        f"https://localhost:{shop.port}/v1/models", verify=str(certificate), timeout=60
    )
    assert response.status_code == 200
    shop.down_service()
    assert not kept.exists()


def test_a_clients_kept_connection_does_not_hold_up_a_down_but_its_request_does(
    shop: ServiceRig,
) -> None:
    shop.deploy({"stream": [200, 0.02]})
    url = f"http://127.0.0.1:{shop.port}/v1/chat/completions"
    body = {"model": "tiny", "messages": [], "stream": True}
    with requests.Session() as idle, requests.Session() as busy:
        idle.get(f"http://127.0.0.1:{shop.port}/v1/models", timeout=60).raise_for_status()
        with busy.post(url, json=body, stream=True, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            with shop.spawn("down", "shop", "--json") as down:
                text = b"\n".join(lines)
                assert down.wait(600) == 0
    assert text.rstrip().endswith(b"data: [DONE]")
    door = json.loads((shop.home / "services" / "shop" / "service.json").read_text())
    assert door["door"] is None
    events = read_events(shop.instance("shop-door"))
    reasons = [event["reason"] for event in events if event["event"] == "stop"]
    assert reasons == ["down", "no request runs any more"]
    signals = [event["signal"] for event in events if event["event"] == "signal"]
    assert signals == ["SIGUSR1", "SIGTERM"]

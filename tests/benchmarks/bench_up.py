"""`up` of the tiny ERNIE, beside the bare engine polled every 10 ms."""

import http.client
import json
import os
import subprocess
import time

from tests.benchmarks.measure import bench, machine, ratio, show
from tests.support import engines, ports, processes

ROUNDS = 3
PROFILE = "profiles/ernie-tiny-cpu.yaml"


def bare(argv: list[str], env: dict[str, str], folder: str, port: int, body: str) -> float:
    """Seconds from exec of the same command line to the first completion."""
    began = time.monotonic()
    process = subprocess.Popen(
        argv, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            time.sleep(0.01)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("GET", "/health")
                if connection.getresponse().status != 200:
                    continue
                connection.close()
                connection.request(
                    "POST", "/v1/chat/completions", body, {"Content-Type": "application/json"}
                )
                if connection.getresponse().status == 200:
                    return time.monotonic() - began
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"the bare engine ended with {process.returncode}") from None
            finally:
                connection.close()
    finally:
        processes.kill([*processes.children(process.pid), process.pid])
        process.wait()


def main() -> None:
    """Alternate both, so that a busy machine is busy for both."""
    python = engines.python_of("transformers")
    if python is None:
        print("transformers is not installed (`make setup`): nothing to measure")
        return
    machine()
    arguments = [PROFILE, "--set", f"python={python}", "--json"]
    ours, theirs, reported = [], [], []
    with bench() as rig:
        port = ports.free_port()
        for _ in range(ROUNDS):
            began = time.monotonic()
            ran = rig.run("up", *arguments, "--set", f"ports.api={port}")
            ours.append(time.monotonic() - began)
            assert ran.rc == 0, ran.output()
            reported.append(ran.json["data"]["seconds"])
            name = ran.json["instance"]
            plan = rig.stored(name, "plan.json")
            assert rig.run("down", name).rc == 0
            env = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
            env.update({v["name"]: v["value"] for v in plan["env"]})
            env.update(HF_HOME=str(rig.folder / "hf"), TMPDIR=str(rig.folder))
            (rig.folder / "hf" / "hub").mkdir(parents=True, exist_ok=True)
            body = json.dumps(plan["readiness"]["completion"])
            theirs.append(bare(plan["argv"], env, str(rig.folder), port, body))
    show("bare engine, exec to its first completion", theirs, "s")
    show("`up`, as the shell sees it", ours, "s")
    ratio("times the bare engine", ours, theirs)
    show("`up`, keeper's start to ready", reported, "s")
    ratio("times the bare engine", reported, theirs)


if __name__ == "__main__":
    main()

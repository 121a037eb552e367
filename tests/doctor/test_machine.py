"""Checks of the machine, failing for real: ports, queues, limits, mounts, leftovers."""

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher import doctor
from launcher.doctor.checks import time as time_checks
from launcher.host import kernel
from launcher.keeper.events import Events
from tests.doctor.conftest import Examine, make_model
from tests.support import ROOT, cli
from tests.support.checkpoints import write_shard
from tests.support.decoded import JsonDict
from tests.support.ports import free_port
from tests.support.rig import Rig
from tests.support.waiting import wait_for


@contextlib.contextmanager
def listening(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_named_with_its_owner(examine: Examine) -> None:
    with listening() as port:
        finding = examine(ports={"api": port})["ports"]
    assert finding.status == "FAIL"
    assert f"api 127.0.0.1:{port}: address already in use by pid {os.getpid()}" in finding.evidence


def test_metrics_and_queues_are_tried_on_every_address(examine: Examine) -> None:
    """FastDeploy binds them to 0.0.0.0 whatever `host` says."""
    with listening() as port:
        finding = examine(ports={"metrics": port})["ports"]
    assert finding.status == "FAIL"
    assert f"metrics 0.0.0.0:{port}" in finding.evidence


def test_ports_are_judged_without_an_engine_too(examine: Examine) -> None:
    with listening() as port:
        assert examine(python=None, ports={"api": port})["ports"].status == "FAIL"


def test_an_address_of_another_machine(examine: Examine) -> None:
    finding = examine(host="203.0.113.7")["host-address"]
    assert finding.status == "FAIL"
    assert "not an address of this machine" in finding.evidence


def test_another_server_with_the_same_low_byte(examine: Examine) -> None:
    number = free_port()
    second = number - 256
    argv = ["fastdeploy.entrypoints.openai.api_server", "--engine-worker-queue-port", str(second)]
    command = [sys.executable, "-c", "import time; time.sleep(600)", *argv]
    with subprocess.Popen(command) as process:
        try:
            # Until exec the child still shows our own command line.
            path = Path(f"/proc/{process.pid}/cmdline")
            wait_for(lambda: b"queue-port" in path.read_bytes(), "the other server's command line")
            finding = examine(ports={"engine-worker-queue": number})["queue-low-byte"]
        finally:
            process.kill()
    assert finding.status == "FAIL"
    assert f"{second} (command line of pid {process.pid})" in finding.evidence


@pytest.mark.parametrize(("name", "answer"), [("one", "FAIL"), ("doc", "WARN")])
def test_a_queue_port_of_our_own_dead_instance_is_no_other_servers(
    examine: Examine, state: Path, name: str, answer: str
) -> None:
    """Everything of it was killed; the trace below /dev/shm says which port it had."""
    number = free_port()
    trace = Path(f"/dev/shm/fd_task_queue_{number - 256}.sock")
    folder = state / "instances" / name
    folder.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    ports = {"engine-worker-queue": number - 256}
    stored = {"state": "ready", "boot": boot, "ports": ports, "started_at": time.time()}
    stored["pid_namespace"] = os.readlink("/proc/self/ns/pid")
    trace.touch()
    try:
        before = examine(ports={"engine-worker-queue": number})["queue-low-byte"]
        (folder / "state.json").write_text(json.dumps(stored))
        finding = examine(model="x/y", ports={"engine-worker-queue": number})["queue-low-byte"]
    finally:
        trace.unlink()
    assert (before.status, finding.status) == ("FAIL", answer)
    assert "another server" in before.evidence
    assert "another server" not in finding.evidence
    assert f"what is left of the instance {name}" in finding.evidence
    assert str(trace) in finding.evidence
    assert finding.remedy is not None
    assert finding.remedy.startswith(f"`ernie-deploy down {name}`")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user, so root")
@pytest.mark.parametrize(("listens", "answer"), [(False, "WARN"), (True, "FAIL")])
def test_what_another_user_made_up_refuses_no_queue_port(
    examine: Examine, listens: bool, answer: str
) -> None:
    """His name below /dev/shm counts as far as the kernel confirms it."""
    number = free_port()
    second = number - 256
    made_up = Path(f"/dev/shm/fd_task_queue_{second}.sock")
    made_up.touch()
    try:
        os.chown(made_up, 65533, 65533)
        with socket.socket() as queue:
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            queue.bind(("127.0.0.1", second))
            if listens:
                queue.listen()
            finding = examine(ports={"engine-worker-queue": number})["queue-low-byte"]
    finally:
        made_up.unlink()
    assert finding.status == answer, finding
    assert str(made_up) in finding.evidence


IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0


@contextlib.contextmanager
def new_queue() -> Iterator[tuple[int, int]]:
    """The identifier of a new System V queue, and the queue port whose low byte is its key.

    One that is there already is another test's: its server's answers go through it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(256):
        number = free_port()
        key = kernel.ftok("/dev/shm", number)
        assert key is not None
        signed = ctypes.c_int(key - (1 << 32) if key >= 1 << 31 else key)
        ident: int = libc.msgget(signed, IPC_CREAT | IPC_EXCL | 0o600)
        if ident >= 0 or ctypes.get_errno() != errno.EEXIST:
            break
    if ident < 0:
        pytest.skip(f"System V queues are refused here: {os.strerror(ctypes.get_errno())}")
    try:
        yield ident, number
    finally:
        libc.msgctl(ident, IPC_RMID, None)


def test_a_queue_of_an_earlier_server(examine: Examine) -> None:
    with new_queue() as (ident, number):
        finding = examine(ports={"engine-worker-queue": number})["message-queues"]
    assert finding.status == "FAIL"
    assert finding.remedy is not None
    assert f"ipcrm -q {ident}" in finding.remedy


@pytest.mark.parametrize("seen_by", ["command-line", "last-sender"])
def test_a_queue_of_a_living_server_is_never_offered_for_removal(
    examine: Examine, seen_by: str
) -> None:
    """A sibling with the same low byte uses it: ipcrm would end its answers."""
    with new_queue() as (ident, number):
        argv = ["server"]
        script = "import sys; print(1, flush=True); sys.stdin.read()"
        if seen_by == "command-line":
            argv = ["api_server", "--engine-worker-queue-port", str(number - 256)]
        else:
            message = "ctypes.byref((ctypes.c_long * 2)(1, 1))"
            send = f"ctypes.CDLL(None).msgsnd({ident}, {message}, 8, 0)"
            script = f"import ctypes; {send}; {script}"
        command = [sys.executable, "-c", script, *argv]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            finding = examine(ports={"engine-worker-queue": number})["message-queues"]
            process.kill()
    assert finding.status == "FAIL"
    assert finding.remedy is not None
    assert "ipcrm" not in finding.remedy
    port = re.search(r"of the server with queue port (\d+) \(pid \d+\)", finding.evidence)
    # A server of a test beside this one may have a queue port with the same low byte, by chance.
    is_beside = port is not None and int(port[1]) not in (number, number - 256)
    assert is_beside or f"pid {process.pid}" in finding.evidence
    assert port is None or int(port[1]) % 256 == number % 256


def test_messages_too_small_for_logprobs(examine: Examine) -> None:
    size = kernel.sysctl("kernel.msgmax")
    if size is None or size >= 1024 * 1024:
        pytest.skip(f"kernel.msgmax is {size} here: large enough")
    wanting = {"engine-args": {"enable-logprob": True}}
    assert examine(**wanting)["message-size"].status == "FAIL"
    # The flag may be spelled as FastDeploy's own configuration does.
    spelled = {"engine-args": {"enable_logprob": True}}
    assert examine(model="/", **spelled)["message-size"].status == "FAIL"
    assert (
        examine(model="/", **wanting, env={"FD_USE_GET_SAVE_OUTPUT_V1": "1"})["message-size"].status
        == "PASS"
    )


def limited(kind: int, value: int, home: Path, check: str) -> JsonDict:
    """What `doctor` says in a process with that limit."""
    process = cli.spawn(
        "doctor", "--json", home=home, preexec_fn=lambda: resource.setrlimit(kind, (value, value))
    )
    stdout, _ = process.communicate(timeout=600)
    findings = json.loads(stdout)["data"]["findings"]
    finding: JsonDict = next(f for f in findings if f["check"] == check)
    return finding | {"rc": process.returncode}


def test_too_few_open_files(state: Path) -> None:
    finding = limited(resource.RLIMIT_NOFILE, 256, state, "open-files")
    assert finding["status"] == "FAIL"
    assert finding["rc"] == 1
    assert "ulimit -n" in finding["remedy"]


def unshared(script: str, *, map_root: bool = False) -> subprocess.CompletedProcess[str]:
    """A script in a mount namespace of its own; skips the test where that is refused."""
    argv = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-ec"]
    probe = subprocess.run(
        [*argv, "mount -t tmpfs -o size=1m tmpfs /mnt"], capture_output=True, text=True
    )
    if probe.returncode:
        pytest.skip(f"no private mount namespace here: {probe.stderr.strip()}")
    return subprocess.run([*argv, script], capture_output=True, text=True, timeout=600)


def doctor_words(*more: str) -> str:
    return " ".join([sys.executable, "-m", "launcher", "doctor", "--json", *more])


@pytest.mark.parametrize(("size", "fill", "answer"), [("4m", "0", "FAIL"), ("64m", "0", "WARN")])
def test_a_small_or_full_shm(size: str, fill: str, answer: str, state: Path) -> None:
    ran = unshared(
        f"mount -t tmpfs -o size={size} tmpfs /dev/shm; cd {ROOT}; "
        f"export ERNIE_DEPLOY_HOME={state}; {doctor_words()} || true"
    )
    findings = json.loads(ran.stdout)["data"]["findings"]
    finding = next(f for f in findings if f["check"] == "shm-size")
    assert finding["status"] == answer
    assert "--shm-size=32G" in finding["remedy"]


def test_a_disk_without_room_for_state(state: Path) -> None:
    ran = unshared(
        f"mount -t tmpfs -o size=8m tmpfs {state}; cd {ROOT}; "
        f"export ERNIE_DEPLOY_HOME={state}; {doctor_words()} || true"
    )
    findings = json.loads(ran.stdout)["data"]["findings"]
    assert next(f for f in findings if f["check"] == "disk-state")["status"] == "FAIL"


def test_traces_of_a_dead_server_in_shm(examine: Examine) -> None:
    number = free_port()
    trace = Path(f"/dev/shm/worker_ready_signal.{number}")
    trace.write_bytes(bytes(4))
    try:
        os.utime(trace, (time.time() + 60, time.time() + 60))
        finding = examine()["shm-leftovers"]
        assert finding.status == "WARN"
        assert finding.evidence.startswith(f"worker_ready_signal.{number}")
        with listening(port=number):
            alive = doctor.run(doctor.machine())
        evidence = next(f for f in alive if f.check == "shm-leftovers").evidence
        assert f"worker_ready_signal.{number}" not in evidence
    finally:
        trace.unlink()


def test_every_trace_is_in_the_remedy_and_a_bound_socket_is_none(examine: Examine) -> None:
    number = free_port()
    signals = ("worker_ready", "cache_ready", "loaded_model", "exist_task", "prefix_tree")
    ends = {"prefix_tree": "status"}
    names = [f"{name}_{ends.get(name, 'signal')}.{number}" for name in signals]
    paths = [Path("/dev/shm", name) for name in names]
    bound = Path("/dev/shm", f"router_{number}.ipc")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bound))
        try:
            for path in paths:
                path.touch()
            finding = examine()["shm-leftovers"]
        finally:
            for path in (*paths, bound):
                path.unlink(missing_ok=True)
    assert finding.remedy is not None
    listed = finding.remedy.partition("rm -- ")[2].partition(" (")[0].split()
    assert {str(path) for path in paths} <= set(listed)
    assert str(bound) not in listed


def test_a_worker_whose_server_is_gone() -> None:
    """Started by a shell that ends at once, as paddle's launcher leaves its worker."""
    script = f"'{sys.executable}' -c 'import time; time.sleep(600)' " + (
        "fastdeploy/worker/worker_process.py > /dev/null 2>&1 & echo $!"
    )
    # A container without an init gives orphans to whatever is pid 1, or to a subreaper of ours.
    pid = int(subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[1] != "1":
            pytest.skip("orphans are adopted by another process than pid 1 here")
        finding = next(f for f in doctor.run(doctor.machine()) if f.check == "orphan-workers")
        assert finding.status == "WARN"
        assert str(pid) in finding.evidence
    finally:
        os.kill(pid, 9)


def write_hole(path: Path, name: str, length: int) -> None:
    """A shard of that many bytes: its header is right, its data a hole."""
    write_shard(path, [(name, "BF16", (length // 2,))])


def test_host_memory_that_is_too_small(examine: Examine, tmp_path: Path) -> None:
    """A sparse shard as large as the machine's memory."""
    model = make_model(tmp_path / "huge")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    write_hole(model / "model-1.safetensors", "a.weight", total // 2 * 2)
    finding = examine(engine="transformers", model=str(model))["host-memory"]
    assert finding.status == "FAIL"
    assert "loading takes about" in finding.evidence


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the keeper's history is written with, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr("launcher.keeper.events.time", SimpleNamespace(time=lambda: now[0]))
    return now


def one_start(folder: Path, clock: list[float], *states: tuple[str, float]) -> None:
    """A history as the keeper writes it: each state, and how long the instance stays in it."""
    folder.mkdir(parents=True, exist_ok=True)
    history = Events(folder)
    for state, seconds in states:
        history.append("state", state=state)
        history.append("phase", phase="weights", percent=None)
        clock[0] += seconds
    history.close()


def test_a_time_out_shorter_than_earlier_starts(
    examine: Examine, state: Path, tmp_path: Path, clock: list[float]
) -> None:
    folder = state / "instances" / "doc"
    life = (("stopping", 1.0), ("stopped", 900.0))
    one_start(folder, clock, ("starting", 5.0), ("loading", 100.0), ("ready", 600.0), *life)
    keys = {"health": {"startup-timeout": "60s"}, "model": str(make_model(tmp_path / "m"))}
    finding = examine(**keys)["timeouts"]
    assert finding.status == "WARN"
    assert "100 s (the start before)" in finding.evidence
    # The next `up` puts that history aside; its own load fails and tells nothing.
    previous = folder / "logs" / "previous"
    previous.mkdir(parents=True)
    (folder / "events.jsonl").rename(previous / "events.jsonl")
    one_start(folder, clock, ("starting", 5.0), ("loading", 400.0), *life)
    assert examine(**keys)["timeouts"].evidence == finding.evidence
    # A restart goes on in the same history.
    one_start(folder, clock, ("starting", 5.0), ("loading", 120.0), ("ready", 600.0))
    assert "120 s (the slowest of 2 earlier starts here)" in examine(**keys)["timeouts"].evidence


def test_a_real_start_is_found_in_its_history(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice up: the first start lies in `logs/previous` by then."""
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(rig.home))
    for _ in range(2):
        rig.up(name="doc")
        rig.down(name="doc")
    assert len(time_checks._earlier("doc")) == 2


def test_the_loader_that_collects_all_weights_needs_memory_for_all(
    examine: Examine, tmp_path: Path
) -> None:
    """More weights than host memory, in sparse shards of a thirtieth each."""
    model = make_model(tmp_path / "many", torch_dtype=None, dtype="bfloat16")
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 30 // 2 * 2
    index = json.loads((model / "model.safetensors.index.json").read_text())
    for number in range(40):
        file = f"more-{number}.safetensors"
        write_hole(model / file, f"w{number}", size)
        index["weight_map"][f"w{number}"] = file
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    keys = {"model": str(model)}
    finding = examine(**keys, **{"engine-args": {"load_choices": "default"}})["host-memory"]
    assert finding.status == "FAIL", finding
    assert "holds all weights" in finding.evidence
    assert finding.remedy is not None
    assert "default_v1" in finding.remedy
    # 2.4's own default hands them on one by one.
    assert "twice the largest shard" in examine(**keys)["host-memory"].evidence


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_of_the_shell_is_not_taken_for_no_network(
    variable: str, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://proxy.invalid:3128")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    finding = examine(engine="transformers", model="baidu/none")["hub"]
    assert finding.status == "UNKNOWN"
    assert "hub.invalid would be asked through a proxy" in finding.evidence


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_a_hub_that_cannot_be_reached(examine: Examine) -> None:
    """`.invalid` is never a host (RFC 2606)."""
    finding = examine(
        engine="transformers", model="baidu/none", env={"HF_ENDPOINT": "https://hub.invalid"}
    )["hub"]
    assert finding.status == "FAIL"
    assert "hub.invalid" in finding.evidence


@pytest.mark.parametrize(
    ("engine", "model", "folder"),
    [
        ("fastdeploy", "baidu/ERNIE-4.5-300B-A47B-Paddle",
         "PaddlePaddle/ERNIE-4.5-300B-A47B-Paddle"),
        ("vllm", "baidu/ERNIE-4.5-300B-A47B-PT",
         "models--baidu--ERNIE-4.5-300B-A47B-PT/snapshots/abc"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_proxy")
def test_a_model_that_was_downloaded_needs_no_room_again(
    engine: str, model: str, folder: str, examine: Examine, tmp_path: Path
) -> None:
    here = tmp_path / "cache" / folder
    here.mkdir(parents=True)
    with (here / "model.safetensors").open("wb") as file:
        file.truncate(599 * 1000**3)  # sparse: it takes no room
    keys = {"cache-dir": str(tmp_path / "cache"), "env": {"HF_ENDPOINT": "https://hub.invalid"}}
    if engine == "fastdeploy":
        keys["env"] = {}
    findings = examine(engine=engine, model=model, **keys)
    assert findings["disk-weights"].status == "PASS", findings["disk-weights"]
    assert f"are in {here} already" in findings["disk-weights"].evidence
    if engine == "vllm":
        assert findings["hub"].status == "WARN"
        assert findings["hub"].remedy is not None
        assert f"model: {here}" in findings["hub"].remedy


def test_too_little_disk_for_a_download(examine: Examine, tmp_path: Path) -> None:
    findings = examine(model="baidu/ERNIE-4.5-300B-A47B-Paddle", **{"cache-dir": "/dev/shm"})
    finding = findings["disk-weights"]
    stat = os.statvfs("/dev/shm")
    free = stat.f_bavail * stat.f_frsize
    if free > 550 * 1024**3:
        pytest.skip("half a terabyte is free in /dev/shm here")
    assert finding.status == "FAIL"
    assert finding.remedy is not None
    assert "cache-dir" in finding.remedy


def test_what_is_exposed_is_said(examine: Examine) -> None:
    findings = examine(host="0.0.0.0", ports={"cache-queue": free_port(), "metrics": free_port()})
    assert findings["exposed-queues"].status == "WARN"
    assert findings["exposed-metrics"].status == "WARN"
    assert findings["exposed-api"].status == "WARN"
    assert "nft add rule" in (findings["exposed-queues"].remedy or "")
    assert "is the unix socket /dev/shm/fd_task_queue_" in findings["exposed-queues"].evidence


def test_a_queue_that_does_not_listen_is_not_exposed(examine: Examine) -> None:
    arguments = {"enable-prefix-caching": False}
    finding = examine(host="0.0.0.0", **{"engine-args": arguments})["exposed-queues"]
    assert finding.status == "PASS"
    assert "cache-queue does not listen with these settings" in finding.evidence


def test_a_log_folder_that_others_can_read(examine: Examine, state: Path) -> None:
    findings = examine()
    plan = findings.subject.plan
    assert plan is not None
    logs = Path(plan.log_folder)
    logs.mkdir(parents=True)
    # Every ancestor up to the log folder itself is open: nothing protects what is in it.
    for path in (logs, *logs.parents):
        if state in path.parents or path == state:
            path.chmod(0o755)
    assert findings["exposed-logs"].status == "FAIL"
    logs.chmod(0o700)
    fresh = type(findings)(findings.subject)
    assert fresh["exposed-logs"].status == "PASS"

    console = logs.parent / "engine.log"
    console.touch(0o644)
    console.chmod(0o644)
    exposed = type(findings)(findings.subject)["exposed-logs"]
    assert exposed.status == "FAIL", "FastDeploy 2.6 prints every line of its logs, prompts too"
    assert exposed.remedy == f"chmod 600 {console}"
    console.chmod(0o600)
    assert type(findings)(findings.subject)["exposed-logs"].status == "PASS"


def test_a_key_in_the_command_line(examine: Examine) -> None:
    findings = examine()
    plan = findings.subject.plan
    assert plan is not None
    leaky = dataclasses.replace(plan, argv=(*plan.argv, "--api-key", "x"))
    findings.subject = dataclasses.replace(findings.subject, plan=leaky)
    assert findings["exposed-key"].status == "FAIL"
    router = dataclasses.replace(plan, argv=(*plan.argv, "--router", "http://me:pass-word@proxy"))
    findings.subject = dataclasses.replace(findings.subject, plan=router)
    assert findings["exposed-key"].status == "FAIL"


def test_limits_of_a_container(examine: Examine, tmp_path: Path) -> None:
    """The files of cgroup v2 as the kernel writes them, below another root."""
    from launcher.host import memory

    (tmp_path / "memory.max").write_text(f"{512 * 1024**2}\n")
    (tmp_path / "memory.current").write_text(f"{500 * 1024**2}\n")
    (tmp_path / "pids.max").write_text("100\n")
    (tmp_path / "pids.current").write_text("90\n")
    host = doctor.Host()
    host.__dict__["memory"] = dataclasses.replace(memory.read(), limit=memory.limit(tmp_path))
    host.__dict__["pids"] = memory.pids(tmp_path)
    findings = examine()
    findings.subject = dataclasses.replace(findings.subject, host=host)
    assert findings["container-limits"].status == "WARN"
    assert findings["host-memory"].status == "FAIL"
    assert "container limit 512 MiB" in findings["host-memory"].evidence


def test_a_cgroup_for_the_engine(examine: Examine) -> None:
    from launcher.doctor.checks.memory import own_cgroup
    from launcher.host.cgroups import CgroupSupport

    subject = examine().subject
    assert subject.profile is not None
    limited = dataclasses.replace(subject.profile, memory_max=8 << 30)
    for support, profile, status in (
        (CgroupSupport(None, False, "cgroup v2 is not mounted here"), None, "PASS"),
        (CgroupSupport(Path("/x"), False, "below /x, without"), None, "PASS"),
        (CgroupSupport(Path("/x"), False, "below /x, without"), limited, "WARN"),
        (CgroupSupport(Path("/x"), True, "below /x, with"), limited, "PASS"),
    ):
        host = doctor.Host()
        host.__dict__["cgroup"] = support
        outcome = own_cgroup(dataclasses.replace(subject, host=host, profile=profile))
        assert outcome is not None
        assert outcome.answer == status, support
        assert support.message in outcome.evidence


@pytest.mark.skipif(os.geteuid() == 0, reason="RLIMIT_NPROC does not bind root")
def test_too_few_tasks(state: Path) -> None:
    finding = limited(resource.RLIMIT_NPROC, 1024, state, "tasks")
    assert finding["status"] == "WARN"


def test_unanswerable_questions_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/proc/meminfo")

    monkeypatch.setattr("launcher.host.memory.read", refuse)
    finding = next(f for f in doctor.run(doctor.machine()) if f.check == "host-memory")
    assert finding.status == "UNKNOWN"
    assert "/proc/meminfo" in finding.evidence


def test_time_passes_between_two_looks() -> None:
    """Facts are asked once per subject and again for the next one."""
    first, second = doctor.machine(), doctor.machine()
    assert first.host.memory is first.host.memory
    time.sleep(0.01)
    assert first.host is not second.host

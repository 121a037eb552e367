"""`model pull` with the real clients of the hubs, against a hub of our own on loopback."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support import cli, hub
from tests.support.waiting import wait_for
from tests.weights.conftest import FILES, HUBS, LARGE, MODEL, Pull, contents, folder_of

pytestmark = pytest.mark.engine("hub-clients")
SHARD = "model-00002-of-00002.safetensors"


@pytest.mark.parametrize("name", HUBS)
def test_every_file_is_there_verified_and_listed(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    ran = pull("--hub", name)

    assert ran.rc == 0, ran.output()
    commit = server.branches["main"]
    folder = folder_of(clients_home, commit, name)
    data = ran.json["data"]
    assert (data["folder"], data["commit"], data["new"]) == (str(folder), commit, True)
    assert contents(folder) == FILES
    manifest = json.loads((folder / "ernie-deploy-model.json").read_text())
    assert {one["path"]: one["size"] for one in manifest["files"]} == {
        path: len(content) for path, content in FILES.items()
    }
    listed = cli.run("model", "list", "--json", home=clients_home).json["data"]["models"]
    assert [(one["model"], one["state"], one["revisions"]) for one in listed] == [
        (MODEL, "whole", ["main"])
    ]
    assert cli.run("model", "verify", MODEL, home=clients_home).rc == 0


def test_a_second_pull_downloads_nothing(pull: Pull, server: hub.Hub) -> None:
    assert pull().json["data"]["new"]
    before = len(server.files_sent())
    again = pull().json["data"]
    assert not again["new"]
    assert again["downloaded_bytes"] == 0
    assert len(server.files_sent()) == before


def interrupt(home: Path, server: hub.Hub, name: str, at: int, number: int) -> None:
    """A pull that gets a signal once `at` bytes more were sent."""
    reached = threading.Event()
    limit = server.sent + at

    def look(sent: int) -> None:
        if sent >= limit:
            reached.set()

    server.on_bytes = look
    process = cli.spawn("model", "pull", MODEL, "--hub", name, home=home, env=server.environment())

    def wait() -> None:
        process.wait()
        reached.set()

    watcher = threading.Thread(target=wait)
    watcher.start()
    assert reached.wait(120)
    server.on_bytes = None
    process.send_signal(number)
    process.communicate(timeout=60)
    watcher.join()


def interrupt_again_and_again(
    home: Path, server: hub.Hub, name: str, rng: random.Random, times: int
) -> None:
    folder = folder_of(home, server.commit(LARGE), name)
    # The slower, the more moments a signal can hit.
    server.rate = 40_000_000.0
    for _ in range(times):
        number = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        interrupt(home, server, name, rng.randrange(1, 9_000_000), number)
        if folder.exists():
            # The signal came after the last byte.
            assert contents(folder) == LARGE
            assert cli.run("model", "verify", MODEL, home=home).rc == 0
            shutil.rmtree(folder)
        else:
            assert cli.run("model", "verify", MODEL, home=home).rc == 3
    server.rate = None


@pytest.mark.parametrize("name", HUBS)
def test_a_pull_that_was_interrupted_continues(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    rng = random.Random(7)
    interrupt_again_and_again(clients_home, server, name, rng, 3 if name == "huggingface" else 1)
    ran = pull("--hub", name)
    assert ran.rc == 0, ran.output()
    assert contents(Path(ran.json["data"]["folder"])) == LARGE


@pytest.mark.soak
@pytest.mark.parametrize("name", HUBS)
def test_fifty_interruptions_leave_no_folder_that_looks_whole_and_is_not(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    interrupt_again_and_again(clients_home, server, name, random.Random(seed), 50)
    ran = pull("--hub", name)
    assert ran.rc == 0, ran.output()
    assert contents(Path(ran.json["data"]["folder"])) == LARGE


@pytest.mark.parametrize("name", HUBS)
def test_what_was_downloaded_is_not_downloaded_again(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    server.commit(LARGE)
    server.rate = 20_000_000.0
    interrupt(clients_home, server, name, 15_000_000, signal.SIGKILL)
    before = server.sent
    server.rate = None

    ran = pull("--hub", name)

    assert ran.rc == 0, ran.output()
    # Some megabytes more were in the buffers of the sockets between the hub and the killed client.
    assert server.sent - before < 13_000_000
    assert ran.json["data"]["downloaded_bytes"] < 13_000_000
    ranges = [headers["Range"] for _, headers in server.requests if headers.get("Range")]
    assert any(not one.startswith("bytes=0-") for one in ranges)


def test_a_connection_that_breaks_is_made_again(pull: Pull, server: hub.Hub) -> None:
    server.cut_after = 250_000
    ran = pull()
    assert ran.rc == 0, ran.output()
    assert contents(Path(ran.json["data"]["folder"])) == FILES


@pytest.mark.parametrize("name", ["huggingface", "aistudio"])
def test_a_shard_with_wrong_bytes_is_refused(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    server.corrupt = {SHARD}

    ran = pull("--hub", name)

    assert ran.rc == 3
    (error,) = ran.json["errors"]
    assert error["code"] == "wrong-checksum"
    assert SHARD in error["message"]
    assert not folder_of(clients_home, server.branches["main"], name).exists()
    assert sum(SHARD in path for path in server.files_sent()) >= 2, "it was tried twice"
    server.corrupt = set()
    before = len(server.files_sent())
    assert pull("--hub", name).rc == 0
    again = {re.split(r"[/=?]", path)[-1] for path in server.files_sent()[before:]}
    assert not any("config" in path for path in again), "what was right is not downloaded again"


@pytest.mark.soak  # modelscope's own client tries it for half a minute
def test_a_shard_with_wrong_bytes_is_refused_by_modelscopes_client(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    server.corrupt = {SHARD}
    ran = pull("--hub", "modelscope")
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "wrong-checksum"
    assert not folder_of(clients_home, server.branches["main"], "modelscope").exists()


def test_a_small_file_is_compared_with_its_git_blob(pull: Pull, server: hub.Hub) -> None:
    server.corrupt = {"config.json"}
    ran = pull()
    assert ran.json["errors"][0]["code"] == "wrong-checksum"
    assert "git blob" in ran.json["errors"][0]["message"]


def test_a_file_without_a_checksum_is_refused(pull: Pull, server: hub.Hub) -> None:
    server.unlisted = {"config.json"}
    ran = pull()
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "bad-listing"
    assert server.files_sent() == [], "nothing was downloaded"


@pytest.mark.parametrize(
    "path", ["../evil", "/etc/evil", "a/../../evil", "ernie-deploy-model.json"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(
    pull: Pull, server: hub.Hub, path: str
) -> None:
    server.commit({**FILES, path: b"evil"})
    ran = pull()
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "bad-listing"
    assert server.files_sent() == []


def test_a_branch_that_moved_is_pulled_anew_and_shares_what_is_the_same(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    first = pull().json["data"]["commit"]
    newer = {**FILES, "README.md": b"# Newer\n"}
    second = server.commit(newer)
    before = len(server.files_sent())

    ran = pull()

    assert ran.json["data"]["commit"] == second != first
    assert contents(folder_of(clients_home, second)) == newer
    assert contents(folder_of(clients_home, first)) == FILES
    assert len(server.files_sent()) == before + 1, "only the file that changed"
    old = pull("--revision", first).json["data"]
    assert (old["commit"], old["new"]) == (first, False)


def test_a_branch_that_moves_between_two_tries(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    server.commit(LARGE)
    server.rate = 20_000_000.0
    interrupt(clients_home, server, "huggingface", 10_000_000, signal.SIGKILL)
    server.rate = None
    newer = {**LARGE, SHARD: random.Random(9).randbytes(7_000_000)}
    server.commit(newer)
    ran = pull()
    assert ran.rc == 0, ran.output()
    assert contents(Path(ran.json["data"]["folder"])) == newer


def test_a_tag_is_kept_beside_the_default_branch(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    server.commit({**FILES, "README.md": b"tagged"}, "v1.0")
    tagged = pull("--revision", "v1.0")
    assert tagged.rc == 0, tagged.output()
    assert cli.run("model", "verify", MODEL, home=clients_home).rc == 3
    assert cli.run("model", "verify", MODEL, "--revision", "v1.0", home=clients_home).rc == 0


def test_a_revision_that_is_not_there(pull: Pull) -> None:
    ran = pull("--revision", "nope")
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "hub-not-found"


@pytest.mark.parametrize("name", HUBS)
def test_a_token_is_sent_and_nowhere_else(
    pull: Pull, clients_home: Path, server: hub.Hub, name: str
) -> None:
    secret = "hf_VeryMuchASecret0123456789"
    server.token = secret

    refused = pull("--hub", name)
    assert refused.rc == 3
    assert refused.json["errors"][0]["code"] in ("hub-unauthorized", "hub-not-found")

    command_lines: list[bytes] = []

    def look(_: int) -> None:
        for one in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command_lines.append(one.read_bytes())
            except OSError:
                continue

    server.on_bytes = look
    ran = pull("--hub", name, "--token", "env:MY_TOKEN", MY_TOKEN=secret)
    assert ran.rc == 0, ran.output()
    assert command_lines
    assert not [line for line in command_lines if secret.encode() in line]
    assert secret not in ran.output()
    written = [path for path in clients_home.joinpath("models").rglob("*") if path.is_file()]
    assert not [path for path in written if secret.encode() in path.read_bytes()]


def test_a_token_that_is_no_reference_is_not_repeated(pull: Pull) -> None:
    ran = pull("--token", "hf_VeryMuchASecret0123456789")
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "missing-secret"


def test_a_hub_that_is_silent_is_given_up(pull: Pull, server: hub.Hub) -> None:
    server.stall_after = 200_000
    ran = pull("--stall-timeout", "2s")
    assert ran.rc == 5
    assert ran.json["errors"][0]["code"] == "download-stalled"
    server.stall_after = None
    assert pull().rc == 0


def test_a_slow_hub_is_waited_for_and_its_rate_is_shown(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    server.rate = 400_000.0
    process = cli.spawn("model", "pull", MODEL, home=clients_home, env=server.environment())
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "downloading 6 files" in stderr


def test_a_hub_that_is_not_there(pull: Pull) -> None:
    ran = pull(HF_ENDPOINT="http://127.0.0.1:9")
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "hub-unreachable"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_disk_that_is_too_small_is_noticed_before_the_first_byte(
    pull: Pull, server: hub.Hub, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(disk)], check=True)
    try:
        ran = pull("--to", str(disk / "model"))
        assert ran.rc == 3
        (error,) = ran.json["errors"]
        assert error["code"] == "disk-full"
        assert "are free" in error["message"]
        assert server.files_sent() == []
        assert not (disk / "model").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_a_disk_that_becomes_full_leaves_what_was_downloaded(
    clients_home: Path, server: hub.Hub, name: str
) -> None:
    """No file may grow beyond a limit: the same error at the same place as a full disk."""
    arguments = ["model", "pull", MODEL, "--hub", name, "--json"]
    limit = ["prlimit", "--fsize=400000"]
    env = cli.environment(clients_home, {**server.environment(), "DOWNLOAD_RETRY_TIMES": "1"})
    full = subprocess.run(
        [*limit, *cli.argv(*arguments)], env=env, capture_output=True, text=True, timeout=120
    )
    answer = json.loads(full.stdout.splitlines()[-1])
    assert (full.returncode, answer["errors"][0]["code"]) == (3, "disk-full"), full.stderr
    assert not folder_of(clients_home, server.branches["main"], name).exists()
    # The file that is too large fails; how far the other one was by then is chance.
    paths = [path for path in (clients_home / "models").rglob("*") if path.is_file()]
    left = sum(path.stat().st_size for path in paths if path.stat().st_size >= hub.CHUNK)
    assert left >= 256 * 1024, "of the file that was too large"
    before = server.sent
    ran = cli.run(*arguments, home=clients_home, env=server.environment())
    assert ran.rc == 0, ran.output()
    assert server.sent - before < sum(map(len, FILES.values())) - left + hub.CHUNK


def test_two_pulls_at_once(pull: Pull, clients_home: Path, server: hub.Hub) -> None:
    server.stall_after = 100_000
    first = cli.spawn("model", "pull", MODEL, home=clients_home, env=server.environment())
    wait_for(lambda: server.sent >= 100_000, "the first pull is at work")
    second = pull()
    assert second.rc == 3
    assert second.json["errors"][0]["code"] == "locked"
    assert str(first.pid) in second.json["errors"][0]["message"]
    first.kill()
    first.communicate(timeout=30)
    server.stall_after = None
    server.released.set()
    assert pull().rc == 0


def test_a_folder_of_ones_own(pull: Pull, clients_home: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights" / "ernie"
    ran = pull("--to", str(target))
    assert ran.rc == 0, ran.output()
    assert contents(target) == FILES
    assert not ran.json["data"]["used_by_hub_id"]
    assert [one.name for one in target.parent.iterdir()] == ["ernie"]
    assert not pull("--to", str(target)).json["data"]["new"]
    assert cli.run("model", "verify", str(target), home=clients_home).rc == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    taken = pull("--to", str(tmp_path / "mine"))
    assert taken.json["errors"][0]["code"] == "folder-exists"
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_damaged_copy_is_found_and_repaired(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    folder = Path(pull().json["data"]["folder"])
    data = bytearray(FILES[SHARD])
    data[1000] ^= 1
    (folder / SHARD).write_bytes(data)
    assert not pull().json["data"]["new"], "sizes alone do not show it"

    verified = cli.run("model", "verify", MODEL, "--json", home=clients_home)
    assert verified.rc == 1
    (error,) = verified.json["errors"]
    assert error["code"] == "model-damaged"
    assert error["remedy"].endswith("--repair")
    assert [one.split(":")[0] for one in verified.json["data"]["damaged"]] == [SHARD]

    before = len(server.files_sent())
    ran = pull("--repair")
    assert ran.rc == 0, ran.output()
    assert contents(folder) == FILES
    assert {path.rpartition("/")[2] for path in server.files_sent()[before:]} == {SHARD}
    assert cli.run("model", "verify", MODEL, home=clients_home).rc == 0


def test_a_copy_that_lacks_a_file_is_not_whole(
    pull: Pull, clients_home: Path, server: hub.Hub
) -> None:
    folder = Path(pull().json["data"]["folder"])
    (folder / SHARD).unlink()
    (row,) = cli.run("model", "list", "--json", home=clients_home).json["data"]["models"]
    assert row["state"] == "damaged"
    assert cli.run("model", "verify", MODEL, home=clients_home).rc == 3
    assert pull().json["data"]["new"]
    assert contents(folder) == FILES


def test_without_the_clients(home: Path, server: hub.Hub) -> None:
    ran = cli.run("model", "pull", MODEL, "--json", home=home, env=server.environment())
    assert ran.rc == 3
    (error,) = ran.json["errors"]
    assert error["code"] == "missing-hub-clients"
    assert error["remedy"] == "ernie-deploy engine install hub-clients"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no-owner",), "bad-model"),
        (("a/b/c",), "bad-model"),
        (("../x",), "bad-model"),
        ((MODEL, "--revision", "../main"), "bad-revision"),
        ((MODEL, "--revision", "-x"), "bad-revision"),
        (("profiles/ernie-tiny-cpu.yaml",), "bad-model"),
    ],
)
def test_what_cannot_be_pulled(home: Path, arguments: tuple[str, ...], code: str) -> None:
    ran = cli.run("model", "pull", *arguments, "--json", home=home)
    assert ran.rc == 2
    assert ran.json["errors"][0]["code"] == code

"""The CPU image, built and run by podman: what deploy/docker and the rendered profile say is true.

Needs root, podman, runc and mmdebstrap of Debian, 6 GB of disk and ten minutes. No registry of
containers is asked: the base is a Debian made by mmdebstrap, with Python as the official image has
it. Where the machine may not raise limits (no CAP_SYS_RESOURCE), a container needs explicit ones
that are not above its own.
"""

import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.render import container
from launcher.render.rendering import render
from tests.render.examples import load
from tests.support import ROOT, ports
from tests.support.waiting import Clock, wait_for

TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
DISK = 8 * 1024**3
"""Bytes that have to be free: base, layers of the image and pip's downloads."""
LONGEST = 3000
"""Seconds for one command; the build installs torch."""
HOST_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf", "/opt/wheels")
"""How this machine's pip finds packages: the build sees these too, where they exist."""
CHECKOUT = (
    "launcher", "profiles", "deploy", "pyproject.toml", "setup.py", "README.md", "LICENSE",
    "MANIFEST.in", ".dockerignore",
)  # fmt: skip


class Podman:
    """podman with a store of its own, which is removed at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edpod-", dir="/tmp"))
        self.argv = [
            "podman", "--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"),
            "--runtime", shutil.which("runc") or "runc", "--cgroup-manager", "cgroupfs",
        ]  # fmt: skip
        files = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.limits = ["--ulimit", f"nofile={files}:{files}", "--ulimit", "nproc=4096:4096"]

    def run(self, *argv: str, check: bool = True) -> str:
        ran = subprocess.run(
            [*self.argv, *argv], capture_output=True, text=True, timeout=LONGEST, cwd="/"
        )
        if check and ran.returncode:
            raise AssertionError(
                f"podman {' '.join(argv)}: {ran.stdout[-3000:]}{ran.stderr[-3000:]}"
            )
        return ran.stdout

    def import_base(self) -> None:
        """An image like python:3.11-slim-bookworm, by Debian's packages."""
        with subprocess.Popen(
            ["mmdebstrap", "--quiet", "--variant=minbase",
             "--include=python3,python3-pip,python3-venv,ca-certificates",
             '--customize-hook=rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
             '--customize-hook=ln -s python3 "$1"/usr/bin/python', "bookworm", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as result:  # fmt: skip
            subprocess.run(
                [*self.argv, "import", "-", "localhost/python:bookworm"],
                stdin=result.stdout, capture_output=True, check=True, timeout=LONGEST,
            )  # fmt: skip
        assert result.returncode == 0

    def close(self) -> None:
        self.run("rm", "--all", "--force", "--time", "0", check=False)
        self.run("rmi", "--all", "--force", check=False)
        subprocess.run(
            ["umount", "-l", str(self.folder / "store" / "overlay")], capture_output=True
        )
        shutil.rmtree(self.folder)


@pytest.fixture
def podman() -> Iterator[Podman]:
    missing = [name for name in ("podman", "runc", "mmdebstrap") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("mmdebstrap and podman's overlay need root here")
    if shutil.disk_usage("/tmp").free < DISK:
        pytest.skip("less than 8 GB free in /tmp")
    one = Podman()
    try:
        yield one
    finally:
        one.close()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 0


@pytest.mark.soak
def test_the_cpu_image_is_built_and_serves(podman: Podman) -> None:
    clock = Clock()
    podman.import_base()
    clock.step("base by mmdebstrap")
    first = subprocess.run(
        [*podman.argv, "run", "--rm", "--network", "host", *podman.limits,
         "localhost/python:bookworm", "true"], capture_output=True, text=True, timeout=LONGEST,
    )  # fmt: skip
    if first.returncode:
        pytest.skip(f"containers are refused here: {first.stderr.strip().splitlines()[-1]}")

    context = podman.folder / "context"
    context.mkdir()
    for name in CHECKOUT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, context / name)
    mentioned = [word for path in HOST_FILES if Path(path).exists()
            for word in ("--volume", f"{path}:{path}:ro")]  # fmt: skip
    pip = [word for name, value in os.environ.items() if name.startswith("PIP_")
           for word in ("--env", f"{name}={value}")]  # fmt: skip
    podman.run(
        "build", "--network", "host", *podman.limits, *mentioned, *pip,
        "--build-arg", "BASE=localhost/python:bookworm",
        "--file", str(context / "deploy" / "docker" / "cpu.Dockerfile"), "--tag", "localhost/ernie",
        str(context),
    )  # fmt: skip
    clock.step("build")
    (size,) = re.findall(
        r"\S+ \S+", podman.run("images", "--format", "{{.Size}}", "localhost/ernie")
    )
    print(f"size: {size}")

    # The rendered profile, the rendered user, nothing writable but the volumes, no capability.
    api, admin = ports.free_port(), ports.free_port()
    profile = podman.folder / "profile.yaml"
    rendered = render("compose", load(TINY, f"ports.api={api}", f"ports.admin={admin}"))
    (text,) = [one.text for one in rendered.files if one.path == "profile.yaml"]
    # On loopback only: other machines have no business in a test.
    profile.write_text(text.replace("0.0.0.0", "127.0.0.1"))
    podman.run(
        "run", "--detach", "--name", "tiny", "--network", "host", *podman.limits,
        "--user", f"{container.USER}:{container.USER}", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--shm-size", "256m", "--tmpfs", "/tmp:mode=1777",
        "--volume", f"{profile}:{container.PROFILE}:ro", "localhost/ernie",
    )  # fmt: skip
    clock.step("run")

    def is_ready() -> bool:
        running = podman.run("inspect", "tiny", "--format", "{{.State.Running}}").strip()
        assert running == "true", podman.run("logs", "tiny", check=False)
        return status_of(f"http://127.0.0.1:{admin}/readyz") == 200

    wait_for(is_ready, "a ready server", deadline=600, interval=0.5)
    clock.step("ready")
    assert status_of(f"http://127.0.0.1:{api}/health") == 200
    assert podman.run("exec", "tiny", "id", "-u").strip() == str(container.USER)
    podman.run("exec", "tiny", "ernie-deploy", "probe", "ernie-tiny-cpu", "--ready")
    podman.run("exec", "tiny", "ernie-deploy", "engine", "path", "hub-clients")
    began = time.monotonic()
    podman.run("stop", "--time", "120", "tiny")
    assert time.monotonic() - began < 60, "SIGTERM reaches the keeper"
    assert podman.run("inspect", "tiny", "--format", "{{.State.ExitCode}}").strip() == "0"
    clock.step("stop")

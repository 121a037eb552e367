"""The files that prometheus_client's multiprocess mode keeps, one set per process."""

from __future__ import annotations

import mmap
import os
import shutil
import uuid

from fastdeploy._twin import release

MAIN = "/tmp/prom_main"
AT_IMPORT = MAIN if release.at_least("2.5") else "/tmp/fd_prom"
_mapped: list[mmap.mmap] = []


def touch() -> None:
    """Create this process's files; a folder that is not there is a failure of the real one too.

    They stay mapped as prometheus_client's do: who uses a folder can be seen in /proc.
    """
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for kind in ("counter", "gauge_all", "gauge_sum", "histogram"):
        with open(os.path.join(folder, f"{kind}_{os.getpid()}.db"), "a+b") as stream:
            stream.truncate(mmap.PAGESIZE)
            _mapped.append(mmap.mmap(stream.fileno(), mmap.PAGESIZE))


def before_metrics() -> None:
    """metrics.py, cleanup_prometheus_files: whatever the variable says, and when M is opened.

    2.0 to 2.2 remove and make anew the one folder of the host, also under a server that runs.
    """
    if release.at_least("2.4"):
        return
    folder = f"{MAIN}_{uuid.uuid4()}" if release.at_least("2.3") else MAIN
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    touch()

"""The files that prometheus_client's multiprocess mode keeps, one set per process."""

from __future__ import annotations

import os


def touch() -> None:
    """Create this process's files; a folder that is not there is a failure of the real one too."""
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for kind in ("counter", "gauge_all", "gauge_sum", "histogram"):
        with open(os.path.join(folder, f"{kind}_{os.getpid()}.db"), "ab"):
            pass

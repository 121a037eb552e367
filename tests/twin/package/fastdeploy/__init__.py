"""A stand-in for FastDeploy: behaves as the real api_server was measured to behave.

Importing 2.4 or later leaves a Prometheus folder behind, as fastdeploy/__init__.py:25-30 does: a
fresh one for every process that does not inherit the variable, also for ``--help`` and failed
starts (2.5 and later: metrics/prometheus_multiprocess_setup.py, another name). Earlier
releases make theirs when they open the metrics port (``prometheus.before_metrics``).
"""

import os
import uuid

from fastdeploy._twin import prometheus
from fastdeploy._twin import release as _release

__version__ = _release.VERSION

# The server's own children (TWIN_T0) inherit what it has set.
if "TWIN_T0" not in os.environ and _release.at_least("2.4"):
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{prometheus.AT_IMPORT}_{uuid.uuid4()}"
        os.mkdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    prometheus.touch()

"""The environment FastDeploy is started in, each variable with its reason."""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy.catalogue import catalogue_key, reads_variable
from launcher.engines.fastdeploy.release_data import at_least, nearest_line
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.plan_parts import common_env, offline_env, split_env
from launcher.plan.model import EnvVar
from launcher.profile.model import Profile

API_KEY = "FD_API_KEY"

SHM_QUEUE = "FD_ENGINE_TASK_QUEUE_WITH_SHM"
"""Makes the task queue a Unix socket instead of a port, in the releases that have it."""

UNSET_PROMETHEUS = {
    "2.4": "/tmp/fd_prom_<uuid>",  # noqa: S108
    "2.5": "/tmp/prom_main_<uuid>",  # noqa: S108
    "2.6": "/tmp/prom_main_<uuid>",  # noqa: S108
}
"""What a release makes where PROMETHEUS_MULTIPROC_DIR is not set: fastdeploy/__init__.py (2.4),
metrics/prometheus_multiprocess_setup.py."""

KEPT_DAYS = "2"
"""Rotated daily files FastDeploy keeps of each log; its own default is 7, without a size limit."""


def variables(profile: Profile, context: PlanContext) -> tuple[EnvVar, ...]:
    """Every variable but the secrets."""
    line = catalogue_key(context.release)
    plain, _ = split_env(profile)
    names = set(profile.env)
    ours = [
        *common_env(profile, context),
        EnvVar("FD_LOG_DIR", str(context.log_folder), "its logs hold prompts: a private folder"),
        EnvVar("SPT_NOENV", "1", "setproctitle must not overwrite the environment by which the "
               "keeper recognises its processes"),
        *offline_env(profile),
    ]  # fmt: skip
    if "FD_LOG_BACKUP_COUNT" not in names:
        ours.append(EnvVar("FD_LOG_BACKUP_COUNT", KEPT_DAYS, "daily log files are bounded"))
    if at_least(line, "2.4"):
        ours.append(
            EnvVar("PROMETHEUS_MULTIPROC_DIR", prometheus_folder(context),
                   f"otherwise every start leaves a folder {UNSET_PROMETHEUS[nearest_line(line)]}")
        )  # fmt: skip
    if profile.cache_dir:
        ours.append(
            EnvVar("FD_MODEL_CACHE", profile.cache_dir, "the profile's cache-dir",
                   profile.where("cache-dir"))
        )  # fmt: skip
    if reads_variable(SHM_QUEUE, line) and SHM_QUEUE not in names:
        value = _shm_queue(profile)
        ours.append(
            EnvVar(SHM_QUEUE, value,
                   "a unix socket does not reach the other nodes" if value == "0" else
                   "the task queue unpickles what it is sent: a unix socket instead of a port on "
                   "every address")
        )  # fmt: skip
    return (*(variable for variable in ours if variable.name not in names), *plain)


def queue_is_unix_socket(profile: Profile, line: str) -> bool:
    """True where the task queue listens on a Unix socket and its port's number is only a name."""
    if not reads_variable(SHM_QUEUE, line):
        return False
    value = profile.env.get(SHM_QUEUE, _shm_queue(profile))
    try:
        return int(value) != 0  # as envs.py reads it: `2` and ` 1` mean yes as well
    except ValueError:
        return False  # FastDeploy ends with a ValueError


def cache_queue_is_unix_socket(profile: Profile, line: str) -> bool:
    """True where the cache queue does too: from 2.6 on (common_engine.py:472)."""
    return at_least(line, "2.6") and queue_is_unix_socket(profile, line)


def _shm_queue(profile: Profile) -> str:
    return "0" if Requested(profile).nodes > 1 else "1"


def secrets(profile: Profile) -> dict[str, str]:
    """Variables that are references to secrets, resolved at start."""
    _, secret_variables = split_env(profile)
    if profile.api_key is not None:
        secret_variables[API_KEY] = profile.api_key.text()
    return secret_variables


def folders(context: PlanContext) -> tuple[str, ...]:
    """Folders that must exist before the start."""
    return (prometheus_folder(context),) if at_least(context.release.line, "2.4") else ()


def prometheus_folder(context: PlanContext) -> str:
    """Where 2.4 and later keep metrics; it must exist when the variable is set."""
    return str(context.temporary_folder / "prometheus")

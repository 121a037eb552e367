"""What compose and quadlet have in common: the image's paths, its user, its state."""

from __future__ import annotations

from launcher.render.subject import STATE, Subject

PROFILE = "/etc/ernie-deploy/profile.yaml"
USER = 10001
"""Number of the image's user and group; a number, because runAsNonRoot cannot judge a name."""
COMMAND = ("up", PROFILE, "--foreground")
"""Arguments of the image's entry point, `ernie-deploy`."""
INSTANCES, CACHE = str(STATE / "instances"), str(STATE / "cache")
"""The writable folders of the image: its engine beside them is read-only."""
NO_FILES = 65536
"""Open files: one per connection, and the shards of the weights."""


def container_memory(subject: Subject) -> int | None:
    """Bytes of the container's limit: what the engine takes, and its shared memory."""
    return None if subject.memory is None else subject.memory + subject.shm


def mib(size: int) -> int:
    """Whole MiB, rounded up."""
    return -(-size // 1024**2)


def model_is_mounted(subject: Subject) -> bool:
    """True where the weights are in the volume already; False where the first start loads them."""
    return subject.profile.model_is_path

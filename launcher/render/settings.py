"""The section `render` of a profile, with what holds where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from launcher import __version__
from launcher.json_values import integer_at, number_at, object_at, text_at
from launcher.profile.model import Profile

GPU = "nvidia.com/gpu"
"""Kubernetes' name of an NVIDIA GPU. Other makers' device plug-ins have names of their own."""
NO_GPU = "none"
"""Instead of a GPU's name: the server runs on the CPU."""
WEIGHTS = "ernie-weights"
PULLED = "pulled"


@dataclass(frozen=True)
class Settings:
    """`time_limit` in seconds, None where the partition's own holds.

    `pull`: an init container fills the claim of the weights. `nodes` is 0 where the section does
    not say.
    """

    image: str
    gpu_resource: str
    node_selector: Mapping[str, str]
    weights: str
    pull: bool
    nodes: int
    partition: str
    time_limit: float | None


def read_settings(profile: Profile) -> Settings:
    """The section of this profile."""
    section = profile.render
    labels = object_at(section, "node-selector")
    return Settings(
        image=text_at(section, "image", default=f"ernie-deploy:{__version__}-{profile.engine}"),
        gpu_resource=text_at(section, "gpu-resource", default=GPU),
        node_selector={name: str(value) for name, value in labels.items()},
        weights=text_at(section, "weights-claim", default=WEIGHTS),
        pull=text_at(section, "weights") == PULLED,
        nodes=integer_at(section, "nodes") or 0,
        partition=text_at(section, "partition"),
        time_limit=number_at(section, "time-limit"),
    )

"""The targets of `render`: where the server runs, and the pure function that makes the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from launcher.render.compose import render_compose
from launcher.render.kubernetes import render_kubernetes
from launcher.render.placement import Place
from launcher.render.quadlet import render_quadlet
from launcher.render.slurm import render_slurm
from launcher.render.subject import Subject
from launcher.render.systemd import render_systemd


@dataclass(frozen=True)
class Target:
    """`render` returns the text of each file by its path; the same subject, the same bytes."""

    place: Place
    render: Callable[[Subject], Mapping[str, str]]
    one_replica: bool = False
    several_nodes: bool = False


TARGETS: Mapping[str, Target] = {
    "systemd": Target("host", render_systemd),
    "compose": Target("container", render_compose),
    "quadlet": Target("container", render_quadlet, one_replica=True),
    "kubernetes": Target("container", render_kubernetes, several_nodes=True),
    "slurm": Target("job", render_slurm),
}

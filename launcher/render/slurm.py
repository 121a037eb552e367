"""Slurm: a batch script for one replica, or an array of it."""

from __future__ import annotations

from pathlib import Path

from launcher.render.container import mib
from launcher.render.notation import comment, yaml_text
from launcher.render.subject import Subject

_SCRIPT = Path(__file__).parent / "data" / "replica.sh"
"""The body of the batch script; instance names need no quotes (letters, digits, dots, dashes)."""
REQUEUE_MARGIN = 30
"""Seconds between the end of a drained stop and the moment at which Slurm kills the job."""


def render_slurm(subject: Subject) -> dict[str, str]:
    """The files `NAME.sbatch` and `NAME.yaml`; both are read where the job is submitted."""
    return {
        f"{subject.name}.sbatch": "\n".join([*_options(subject), "", _script(subject)]),
        f"{subject.name}.yaml": yaml_text(subject.written(None)),
    }


def _options(subject: Subject) -> list[str]:
    settings = subject.settings
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={subject.name}",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        f"#SBATCH --cpus-per-task={max(2, 4 * subject.gpus)}",
    ]
    if subject.replicas > 1:
        lines += comment("One task of the array is one replica; they may share a node.")
        lines.append(f"#SBATCH --array=0-{subject.replicas - 1}")
    if subject.gpus:
        lines.append(f"#SBATCH --gpus-per-node={subject.gpus}")
    if subject.memory is None:
        lines += comment(f"No --mem: {subject.memory_source}.")
    else:
        lines += comment(f"Host memory: {subject.memory_source}; and /dev/shm, which counts too.")
        lines.append(f"#SBATCH --mem={mib(subject.memory + subject.shm)}M")
    if settings.partition:
        lines.append(f"#SBATCH --partition={settings.partition}")
    if settings.time_limit is not None:
        lines.append(f"#SBATCH --time={max(1, round(settings.time_limit / 60))}")
    lines += comment(
        "This long before the time limit, only this script gets SIGTERM (B:): it drains and stops "
        "the server, and puts the job back into the queue."
    )
    lines.append(f"#SBATCH --signal=B:TERM@{subject.stop_seconds + REQUEUE_MARGIN}")
    lines += comment("After a lost node too. The log is kept over a requeue.")
    lines += ["#SBATCH --requeue", "#SBATCH --open-mode=append"]
    return lines


def _script(subject: Subject) -> str:
    values = {"@NAME@": subject.name, "@START@": str(subject.start_seconds)}
    text = _SCRIPT.read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text

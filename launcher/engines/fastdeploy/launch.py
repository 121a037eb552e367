"""The launch plan of FastDeploy, of a profile that was judged."""

from __future__ import annotations

from dataclasses import replace

from launcher.engines.base import PlanContext
from launcher.engines.fastdeploy import (
    checks,
    command,
    failures,
    release_notes,
    surroundings,
    watching,
)
from launcher.engines.fastdeploy.catalogue import catalogue_key
from launcher.engines.fastdeploy.figures import FIGURES
from launcher.engines.fastdeploy.leftovers import leftovers
from launcher.engines.fastdeploy.liveness import liveness
from launcher.engines.fastdeploy.ports import EVERYWHERE, sockets
from launcher.engines.fastdeploy.ports import uses as port_uses
from launcher.engines.fastdeploy.readiness import answers, readiness
from launcher.engines.fastdeploy.release_data import at_least
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.fastdeploy.shell import refuse_unsafe
from launcher.engines.plan_parts import argv_of, common_parts
from launcher.plan.model import LaunchPlan, StopPolicy, StopStage
from launcher.profile.model import Profile

LOADING_WAIT = 20.0
"""Seconds: SIGINT while loading was measured to end everything in 12 s."""


def launch_plan(profile: Profile, context: PlanContext) -> LaunchPlan:
    """The launch plan of a profile without problems.

    Raises:
        PreconditionError: a path of ours cannot go through FastDeploy's shell command.
    """
    refuse_unsafe({"the log folder": str(context.log_folder), "the Python": context.python})
    requested = Requested(profile)
    flags = command.flags(profile, context)
    parts = common_parts(profile, context, liveness(profile, context))
    if not answers(profile, catalogue_key(context.release)):
        parts["liveness"] = replace(parts["liveness"], canary=False)
    return LaunchPlan(
        argv=argv_of(context.python, command.MODULE, flags),
        module=command.MODULE,
        flags=flags,
        env=surroundings.variables(profile, context),
        secrets=surroundings.secrets(profile),
        folders=surroundings.folders(context),
        ports=port_uses(profile, context),
        sockets=sockets(profile, context),
        served_model=requested.served_name,
        log_sources=watching.LOG_SOURCES,
        phases=watching.PHASES,
        phase_rules=watching.PHASE_RULES,
        failure_rules=failures.rules(context.release.line),
        noise=failures.noise(),
        log_rules=failures.log_rules(),
        readiness=readiness(profile, context),
        stop=_stop(profile),
        leftovers=leftovers(profile, context),
        exit_codes=watching.EXIT_CODES,
        vital=watching.VITAL,
        told_to_stop=watching.TOLD_TO_STOP,
        own_signals=watching.OWN_SIGNALS,
        progress=watching.PROGRESS,
        figures=FIGURES,
        notes=_notes(profile, context),
        gpu_ranks=requested.local_ranks,
        **parts,
    )


def _stop(profile: Profile) -> StopPolicy:
    """SIGTERM while loading orphans the workers, SIGINT when ready the cache queue: measured."""
    grace = profile.stop.grace
    return StopPolicy(
        loading=(StopStage("SIGINT", "main", max(LOADING_WAIT, grace)),),
        ready=(StopStage("SIGTERM", "main", profile.stop.drain + grace),),
        drain=profile.stop.drain,
    )


def _notes(profile: Profile, context: PlanContext) -> tuple[str, ...]:
    line = catalogue_key(context.release)
    notes = [*release_notes.of_release(context.release), *checks.notes(profile, line)]
    everywhere = [
        use.name for use in port_uses(profile, context) if use.bound and use.name != "api"
    ]
    notes.append(
        f"{', '.join(everywhere)} listen on {EVERYWHERE} whatever `host` is: close their ports "
        "in the firewall"
    )
    if profile.env.get("FD_ENABLE_INTERNAL_ADAPTER") not in (None, "", "0"):
        notes.append(
            "FD_ENABLE_INTERNAL_ADAPTER opens the ports of FD_ZMQ_RECV_REQUEST_SERVER_PORT, "
            "FD_ZMQ_SEND_RESPONSE_SERVER_PORT and FD_ZMQ_CONTROL_CMD_SERVER_PORTS on every "
            "address too; they are not leased"
        )
    if not at_least(line, "2.3"):
        notes.append(f"FastDeploy {line} keeps metrics in /tmp/prom_main, shared by all servers "
                    "of the host")  # fmt: skip
    if not profile.stop.drain:
        notes.append(
            "running streams are cut when it stops"
            + ("; `stop: {drain: SECONDS}` lets them end" if at_least(line, "2.3") else "")
        )
    if profile.api_key is not None:
        notes.append("/config-info on the metrics port shows FD_API_KEY in clear to anyone")
    return tuple(notes)

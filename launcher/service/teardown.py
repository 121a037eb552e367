"""`down` of a service: the front door finishes what runs, then every replica stops."""

from __future__ import annotations

from dataclasses import replace

from launcher.errors import ExitCode, Problem
from launcher.instance.store import instance_dir
from launcher.result import Result
from launcher.service import replicas
from launcher.service.payloads import ServiceDown
from launcher.service.store import open_service, this_owner
from launcher.service.traffic import Traffic


def down_service(name: str, *, drain: float | None = None) -> Result[ServiceDown]:
    """Stop the service: no new requests, then the end of those that run, then the replicas.

    `drain` in seconds replaces `service.rollout.drain`. A rollout that is under way is given up;
    what can be stopped is stopped, whatever becomes of the rest.

    Raises:
        DeployError: the service does not exist, or another command works on it.
    """
    service = open_service(name)
    with service.locked(this_owner("down")):
        state = service.read()
        problems: list[Problem] = []
        stopped: list[str] = []
        traffic = Traffic(service)
        problem = traffic.close(drain=drain)
        if problem is not None:
            problems.append(problem)
        else:
            front = (service.door_instance, *service.gateway_instances)
            stopped += [name for name in front if instance_dir(name).folder.is_dir()]
        state = service.write(replace(state, rollout=None))
        for member in state.members:
            failed = False
            for instance in reversed(member.instances):
                problem = replicas.stop(instance)
                if problem is not None:
                    problems.append(problem)
                    failed = True
                    continue
                stopped.append(instance)
                service.retire(instance_dir(instance).folder)
            if not failed:
                staying = tuple(one for one in state.members if one.name != member.name)
                state = service.write(replace(state, members=staying))
        if not problems:
            service.write(replace(state, door=None))
    left = tuple(problem.message for problem in problems)
    code = ExitCode.NEGATIVE if problems else ExitCode.DONE
    return Result("down", ServiceDown(name, tuple(stopped), left), name, code, tuple(problems))

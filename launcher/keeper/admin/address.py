"""Where a client of this machine finds the keeper's endpoint."""

from __future__ import annotations

from launcher.host.sockets import reachable
from launcher.plan.model import LaunchPlan


def admin_address(plan: LaunchPlan) -> str:
    """`http://127.0.0.1:28180`, or `unix:` and a path; empty where the plan has no endpoint."""
    use = plan.admin
    if use is None:
        return ""
    if use.socket is not None:
        return f"unix:{use.socket}"
    host = reachable(use.address)
    return f"http://[{host}]:{use.number}" if ":" in host else f"http://{host}:{use.number}"

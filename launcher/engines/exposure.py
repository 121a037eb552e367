"""Which addresses others can reach, and the firewall rule that closes a port."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from launcher.engines.doctor_checks import Subject
from launcher.plan.model import PortUse


def is_public(address: str) -> bool:
    """True where an address is reachable from other machines."""
    if address in ("", "localhost"):
        return address == ""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True


def describe(subject: Subject, use: PortUse) -> str:
    """A port with its name and address."""
    number = "a port chosen at the start" if use.name in subject.auto_ports else str(use.number)
    return f"{use.name} {use.address}:{number}"


def firewall(subject: Subject, uses: Sequence[PortUse]) -> str:
    """The commands that keep other machines from these ports."""
    ports = ", ".join(
        f"PORT-OF-{use.name.upper()}" if use.name in subject.auto_ports else str(use.number)
        for use in uses
    )
    return (
        f"nft add table inet ernie; nft 'add chain inet ernie input {{ type filter hook input "
        f"priority 0; }}'; nft add rule inet ernie input iifname != lo tcp dport "
        f"{{ {ports} }} drop"
    )

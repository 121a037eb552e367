"""Checks over a profile, its plan and this machine: PASS, WARN, FAIL, UNKNOWN, with evidence.

    from launcher import doctor
    findings = doctor.run(doctor.of_profile(profile), only_fast=True)

A check is a small function in `launcher/doctor/checks/`; the registry lists them in the order in
which they are shown. Nothing is repaired here.
"""

from __future__ import annotations

from launcher.doctor.checks import REGISTRY
from launcher.doctor.model import Check, Finding, Host, Outcome, Subject
from launcher.doctor.runner import gate, run
from launcher.doctor.subject import machine, of_prepared, of_profile

__all__ = [
    "REGISTRY",
    "Check",
    "Finding",
    "Host",
    "Outcome",
    "Subject",
    "gate",
    "machine",
    "of_prepared",
    "of_profile",
    "run",
]

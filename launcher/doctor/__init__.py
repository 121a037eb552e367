"""Checks over a profile, its plan and this machine: PASS, WARN, FAIL, UNKNOWN, with evidence.

    from launcher import doctor
    findings = doctor.run(doctor.of_profile(profile), only_fast=True)

A check is a small function: those of every engine are in `launcher/doctor/checks/`, an engine has
its own (`Engine.doctor_checks`). Nothing is repaired here.
"""

from __future__ import annotations

from launcher.doctor.checks import checks_of, every_check
from launcher.doctor.model import Check, Finding, Host, Outcome, Subject
from launcher.doctor.runner import gate, run
from launcher.doctor.subject import machine, of_prepared, of_profile

__all__ = [
    "Check",
    "Finding",
    "Host",
    "Outcome",
    "Subject",
    "checks_of",
    "every_check",
    "gate",
    "machine",
    "of_prepared",
    "of_profile",
    "run",
]

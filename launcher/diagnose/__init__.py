"""From an instance's logs to the first cause: a rule (`ED-...`), the line, the remedy.

Stdlib only: the keeper imports this and lives for months.
"""

from __future__ import annotations

from launcher.diagnose.diagnosis import Diagnosis, Evidence, Finding
from launcher.diagnose.engine import diagnose
from launcher.diagnose.instance import (
    log_rules_of,
    newest_of_instance,
    of_folder,
    of_instance,
    recognised,
    rule_of_answer,
)
from launcher.diagnose.matching import Matcher, compile_rules
from launcher.diagnose.sources import LogFile, below, log_file

__all__ = [
    "Diagnosis",
    "Evidence",
    "Finding",
    "LogFile",
    "Matcher",
    "below",
    "compile_rules",
    "diagnose",
    "log_file",
    "log_rules_of",
    "newest_of_instance",
    "of_folder",
    "of_instance",
    "recognised",
    "rule_of_answer",
]

"""``FAULTS`` of the twin for tests, without importing the stand-in package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parent / "package" / "fastdeploy" / "_twin" / "faults.py"
_SPEC = importlib.util.spec_from_file_location("_twin_fault_table", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _MODULE
_SPEC.loader.exec_module(_MODULE)

FAULTS = _MODULE.FAULTS
Fault = _MODULE.Fault
parse = _MODULE.parse

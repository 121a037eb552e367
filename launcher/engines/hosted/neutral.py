"""A hosted endpoint takes no flags: its provider decides."""

from __future__ import annotations

from launcher.engines.neutral import NeutralKeys

KEYS = NeutralKeys()

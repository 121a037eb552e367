"""A clock that stands still, for the moment at which a deadline is over."""

from types import ModuleType

import pytest

READS = 400
"""More looks at the clock than any wait needs that has no time left."""


class StillClock:
    """Stands in for `time` in one module: passes only when it is told to, or slept on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        self.now = 1000.0
        self._reads = 0
        for module in modules:
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        """The moment; an endless wait ends here."""
        self._reads += 1
        assert self._reads < READS, "the deadline is over, and it still waits"
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes, exactly."""
        self.now += seconds

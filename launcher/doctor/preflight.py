"""What `up` refuses before it starts anything: the doctor's fast checks."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.preparation.prepare import Prepared


def preflight(
    prepared: Prepared, force: Sequence[str], keeper: int | None = None
) -> tuple[str, ...]:
    """Run the fast checks; returns the names of failed checks that `--force` overrides.

    `keeper` is the pid of the instance's own keeper where it still runs.

    Raises:
        PreconditionError: a check says FAIL and is not forced.
    """
    from launcher import doctor

    return doctor.gate(doctor.of_prepared(prepared, keeper), force)

"""Which sessions still are the recorded ones: a number alone proves nothing."""

import pytest

from launcher.keeper.claim import SessionClaim
from launcher.keeper.identity import Process
from launcher.keeper.sessions import claims_of, still_ours


def test_claims_are_read_with_their_newest_sight() -> None:
    """Older keepers wrote bare numbers."""
    stored: list[SessionClaim | int] = [
        7,
        SessionClaim(8, 50),
        SessionClaim(8, 40),
        SessionClaim(7, 3),
        9,
    ]
    assert claims_of(stored) == {7: 3, 8: 50, 9: 0}
    assert claims_of([]) == {}


@pytest.mark.parametrize(
    ("start", "recorded", "ours"),
    [(49, False, True), (50, False, False), (51, False, False), (51, True, True)],
)
def test_a_member_that_began_before_the_last_sight_proves_a_session(
    start: int, recorded: bool, ours: bool
) -> None:
    """In the tick of the last sight itself the order cannot be told."""
    member = Process(11, start, 8, 1, "p")
    recorded_pids = {(11, start)} if recorded else set()
    assert still_ours({8: 50}, [member], recorded_pids) == ({8} if ours else set())
    assert still_ours({9: 50}, [member], recorded_pids) == set(), "another session's number"

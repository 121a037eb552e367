"""A look at a ready server ends in time, and gives it the time that the profile's interval has."""

import socket

import pytest

from launcher.keeper.loop import Loop
from launcher.keeper.sampler import Sampler
from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import Sample
from launcher.plan.model import LaunchPlan, PortUse, Readiness


def sampler(loop: Loop, interval: float, port: int = 1) -> Sampler:
    plan = LaunchPlan(
        "one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere",
        ports=(PortUse("api", port, "127.0.0.1"),), readiness=Readiness("127.0.0.1"),
    )  # fmt: skip
    return Sampler(loop, plan, LivenessPolicy(interval=interval), None, "/nowhere")


@pytest.mark.parametrize(("interval", "longest"), [(0.1, 12.0), (1.0, 14.0), (60.0, 18.0)])
def test_a_sample_is_overdue_after_its_questions_and_ten_seconds(
    interval: float, longest: float
) -> None:
    """A question gets the interval, at least half a second, at most two."""
    looking = sampler(Loop(), interval)
    assert looking.longest == longest
    looking.close()


def test_a_server_that_takes_a_question_and_is_silent_is_not_waited_for() -> None:
    loop = Loop()
    samples: list[Sample] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        looking = sampler(loop, 0.1, silent.getsockname()[1])
        looking.take((), False, samples.append)
        assert loop.run_until(lambda: bool(samples), 600)
        looking.close()
    (sample,) = samples
    assert sample.health is None or sample.health.message == "GET /health timed out after 0.5 s"

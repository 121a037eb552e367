"""What an upgrade changes for a profile."""

import pytest

from launcher.engines.fastdeploy.releases import diff
from launcher.errors import UsageError
from tests.engines import making
from tests.engines.making import Parsers


def test_names_defaults_and_schedulers_that_move_from_2_2_to_2_4() -> None:
    card = making.profile(**{**making.CARD, "parsers": Parsers("ernie-x1", "ernie-x1")})
    changes = diff(card, "2.2", "2.4.0")
    assert (changes["old"], changes["new"]) == ("2.2", "2.4")
    assert changes["gone"] == changes["added"] == []
    assert changes["renamed"] == [
        "engine-args.load-choices: --load_choices in 2.2, --load-choices in 2.4",
        "parsers.reasoning: ernie_x1 in 2.2, ernie-x1 in 2.4",
        "parsers.tool-call: ernie_x1 in 2.2, ernie-x1 in 2.4",
    ]
    moved = " ".join(changes["defaults"])
    assert "--enable-prefix-caching: off in 2.2, on (true on CUDA" in moved
    assert "ENABLE_V1_KVCACHE_SCHEDULER: '0' in 2.2, '1' in 2.4" in moved
    assert "--load-choices" not in moved, "the profile sets it"
    assert any(
        note.startswith("the V1 KV-cache scheduler is on in 2.4") for note in changes["notes"]
    )


def test_flags_that_go_and_come() -> None:
    profile = making.profile(
        engine_args={"innode-prefill-ports": "1", "enable-entropy": True},
        env={"FD_USE_FASTSAFETENSOR": "1"},
    )
    changes = diff(profile, "2.3", "2.4")
    assert changes["gone"] == [
        "engine-args.innode-prefill-ports: --innode-prefill-ports is not in 2.4 "
        "(it was removed in 2.4)",
        "env.FD_USE_FASTSAFETENSOR: 2.4 does not read it",
    ]
    assert changes["added"] == [
        "engine-args.enable-entropy: --enable-entropy is not in 2.3 (it exists from 2.4)"
    ]


def test_a_combination_that_only_the_new_release_refuses() -> None:
    profile = making.profile(max_model_len=1024, max_num_seqs=4)
    assert diff(profile, "2.3", "2.4")["notes"] == []
    (first, *_) = diff(profile, "2.2", "2.3")["notes"]
    assert "more than max-model-len x max-num-seqs" in first


def test_what_2_6_does_in_another_way_for_the_profile_at_hand() -> None:
    one = " ".join(diff(making.profile(), "2.4", "2.6")["behaviour"])
    for phrases in (
        "four HTTP workers", "unix sockets", "20 bits", "/v1/is_paused", "200 and an empty text",
        "goes away ends its request", "every INFO line", "one wheel for all cards", "exit code 0",
    ):  # fmt: skip
        assert phrases in one, phrases
    assert "several nodes" not in one
    assert "a socket file that a killed server left" not in one
    second = making.profile(
        engine_args={"workers": 1, "ips": "10.0.0.1,10.0.0.2"},
        ports={"engine-worker-queue": 8182},
    )
    changes = diff(second, "2.4", "2.6")
    text = " ".join(changes["behaviour"])
    assert "four HTTP workers" not in text
    assert "several nodes" in text
    assert "a socket file that a killed server left" in text
    assert not any("--workers" in line for line in changes["defaults"])


def test_the_way_back_is_told_as_well() -> None:
    text = " ".join(diff(making.profile(), "2.6", "2.5")["behaviour"])
    assert "no longer (it came with 2.6): both queues are unix sockets" in text
    assert diff(making.profile(), "2.6", "2.6")["behaviour"] == []


def test_an_unknown_release_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        diff(making.profile(), "2.2", "2.9")

"""Pictures and videos: what is drawn, what a text model gets, and who promises what."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import pytest

from launcher import engines
from launcher.smoke.checks import pictures
from launcher.smoke.run.suite import smoke
from tests.engines import making
from tests.smoke.defects.vision import PICTURES
from tests.smoke.pictures import read_avi, read_cells, read_png
from tests.smoke.servers import Body, Defect, Server, serve
from tests.smoke.targets import target_of
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict

CHECKS = ["image", "images", "video", "image-url"]


def verdicts(defect: Defect | None = None, **changes: Any) -> dict[str, tuple[str, str]]:
    with serve(defect, key="right") as server:
        result = smoke(target_of(server, request_timeout=6.0, **changes), names=CHECKS)
    return {c["name"]: (c["verdict"], c["message"]) for c in as_json(result.payload)["checks"]}


def blind(server: Server, body: Body) -> None:
    """A text model behind a server that drops pictures."""
    for message in body["messages"]:
        message["content"] = PICTURES.sub("", str(message["content"]))


def test_an_honest_server_passes_all() -> None:
    got = verdicts()
    assert {verdict for verdict, _ in got.values()} == {"pass"}, got


def test_a_text_model_is_skipped_with_the_reason() -> None:
    got = verdicts(promises=frozenset({"chat"}))
    assert set(got) == set(CHECKS)
    for name, (verdict, message) in got.items():
        assert verdict == "could not check", name
        assert "does not promise" in message


def test_a_server_that_promises_nothing_and_sees_nothing_is_not_accused() -> None:
    """A URL of which nothing is known: a text-only model is not a fault."""
    got = verdicts(Defect("", "", request=blind), promises=None)
    for name in ("image", "images", "video"):
        assert got[name][0] == "could not check", got[name]


def test_another_machine_s_network_is_not_judged() -> None:
    with serve(key="right") as server:
        target = target_of(server)
        url = target.endpoint.base_url.replace("127.0.0.1", "192.0.2.1")
        from dataclasses import replace

        far = replace(target, endpoint=replace(target.endpoint, base_url=url))
        result = smoke(far, names=["image-url"], budget=20.0)
    (check,) = as_json(result.payload)["checks"]
    assert check["verdict"] == "could not check"
    assert "another machine" in check["message"]


@pytest.mark.parametrize("number", ["234", "567", "892", "777777"])
def test_a_picture_shows_its_number(number: str) -> None:
    assert read_png(pictures.png(number)) == number


def test_a_video_shows_its_numbers_in_their_order() -> None:
    assert read_avi(pictures.avi(["27", "94"])) == ["27", "94"]
    assert read_avi(pictures.avi(["94", "27"])) == ["94", "27"]


def test_a_jpeg_is_decoded_to_its_cells() -> None:
    """By a decoder of its own: one bit at a time, each block black or white."""
    data = pictures.jpeg("38")
    height, width = struct.unpack(">HH", data[data.index(b"\xff\xc0") + 5 :][:4])
    start = data.index(b"\xff\xda") + 10
    bits = "".join(f"{b:08b}" for b in data[start:-2].replace(b"\xff\x00", b"\xff"))
    blocks: list[str] = []
    level, at = 0, 0
    while len(blocks) < height * width // 64:
        code = next(c for c in ("0", "10", "110") if bits.startswith(c, at))
        at += len(code)
        length = {"0": 0, "10": 7, "110": 8}[code]
        raw = int(bits[at : at + length] or "0", 2)
        at += length
        level += raw if length == 0 or raw >> (length - 1) else raw - (1 << length) + 1
        assert bits[at] == "0", "the end of the block"
        at += 1
        blocks.append("1" if level < 0 else "0")
    per_row = width // 8
    rows = ["".join(blocks[y * per_row : (y + 1) * per_row]) for y in range(height // 8)]
    assert read_cells([row[::2] for row in rows[::2]]) == "38"


def test_numbers_differ_and_cannot_be_guessed() -> None:
    drawn = pictures.numbers(20)
    assert len(set(drawn)) == 20
    assert {len(n) for n in drawn} == {3}
    assert pictures.numbers(20) != drawn


def test_the_parts_are_openai_s() -> None:
    part = pictures.image_part("234")
    assert part["type"] == "image_url"
    assert str(part["image_url"]["url"]).startswith("data:image/png;base64,")  # type: ignore[index, call-overload]
    assert len(json.dumps(pictures.video_part(["23", "45"]))) < 10_000
    assert zlib.crc32(pictures.png("234")) == zlib.crc32(pictures.png("234"))


VISION = {"vision", "vision-several", "video", "media-guard"}
LIMITS = {"limit-mm-per-prompt": {"image": 100, "video": 100}}


@pytest.mark.parametrize(
    ("engine", "model", "args", "expected"),
    [
        ("fastdeploy", "baidu/ERNIE-4.5-VL-28B-A3B-Paddle", LIMITS,
         {"vision", "vision-several", "video"}),
        ("fastdeploy", "baidu/ERNIE-4.5-VL-28B-A3B-Paddle", {}, {"vision", "video"}),
        ("fastdeploy", "baidu/ERNIE-4.5-VL-28B-A3B-Paddle",
         {"limit-mm-per-prompt": '{"image": 3, "video": 0}'}, {"vision", "vision-several"}),
        ("fastdeploy", "PaddlePaddle/PaddleOCR-VL", {}, {"vision"}),
        ("fastdeploy", "baidu/ERNIE-4.5-21B-A3B-Paddle", {}, set()),
        ("fastdeploy", "baidu/ERNIE-4.5-VL-28B-A3B-Paddle", {"deploy-modality": "text"}, set()),
        ("vllm", "baidu/ERNIE-4.5-VL-28B-A3B-PT", {}, {"vision", "vision-several", "video"}),
        ("vllm", "baidu/ERNIE-4.5-VL-28B-A3B-PT", {"limit-mm-per-prompt": {"image": 1}},
         {"vision", "video"}),
        ("vllm", "baidu/ERNIE-4.5-VL-28B-A3B-PT",
         {"limit-mm-per-prompt": {"image": {"count": 2}, "video": 0}}, {"vision"}),
        ("vllm", "baidu/ERNIE-4.5-VL-28B-A3B-PT", {"allowed-media-domains": ["a.example"]},
         {"vision", "vision-several", "video", "media-guard"}),
        ("vllm", "baidu/ERNIE-4.5-0.3B-PT", {}, set()),
        ("transformers", "baidu/ERNIE-4.5-0.3B-PT", {}, set()),
    ],
)  # fmt: skip
def test_who_promises_what(engine: str, model: str, args: JsonDict, expected: set[str]) -> None:
    profile = making.profile(engine, model=model, engine_args=args)
    assert engines.get(engine).capabilities(profile, None) & VISION == expected


@pytest.mark.parametrize("engine", ["fastdeploy", "vllm"])
def test_a_fetched_url_is_a_known_deviation_unless_a_guard_was_asked_for(engine: str) -> None:
    defect = Defect("", "", route=lambda server, *a: server.memory.update(fetches="http://"))
    releases = {"fastdeploy": "2.3", "vllm": "0.32.0"}
    for promises, explained in (({"vision"}, True), ({"vision", "media-guard"}, False)):
        with serve(defect, key="right") as server:
            target = target_of(
                server, promises=frozenset(promises), engine=engine, release=releases[engine]
            )
            (check,) = as_json(smoke(target, names=["image-url"]).payload)["checks"]
        assert check["verdict"] == "fail"
        assert bool(check["deviations"]) == explained, check

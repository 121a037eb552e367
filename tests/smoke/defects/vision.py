"""Faults with pictures and videos."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.smoke.defects.planting import defect
from tests.smoke.servers import Body, Server

PICTURES = re.compile(r"\[(?:picture|video) [\d ]+\]")


def _sees(change: Callable[[Server, list[str]], list[str]]) -> Callable[[Server, Body], None]:
    """A hook that changes what the model sees: change(server, pictures) -> pictures."""

    def hook(server: Server, body: Body) -> None:
        for message in body["messages"]:
            text = str(message["content"])
            pictures = PICTURES.findall(text)
            if pictures:
                message["content"] = "".join(change(server, pictures)) + PICTURES.sub("", text)

    return hook


def _of_the_request_before(server: Server, pictures: list[str]) -> list[str]:
    before = server.memory.get("before", pictures)
    server.memory["before"] = pictures
    return before if isinstance(before, list) else pictures


def _fetches(scheme: str) -> Callable[..., None]:
    """A hook that makes the server read URLs that begin with `scheme`."""
    return lambda server, *request: server.memory.update(fetches=scheme)


defect("image-ignored", "image", request=_sees(lambda server, pictures: []))
defect("image-of-the-request-before", "image", request=_sees(_of_the_request_before))
defect("images-swapped", "images", request=_sees(lambda server, pictures: pictures[::-1]))
defect("only-the-first-image", "images", request=_sees(lambda server, pictures: pictures[:1]))
defect("only-the-last-image", "images", request=_sees(lambda server, pictures: pictures[-1:]))
defect("video-ignored", "video", request=_sees(lambda server, pictures: []))
defect(
    "video-backwards",
    "video",
    request=_sees(lambda server, pictures: [" ".join(re.findall(r"\d+", pictures[0])[::-1]).join(
        ("[video ", "]"))]),
)  # fmt: skip
defect(
    "only-the-first-frame",
    "video",
    request=_sees(lambda server, pictures: [re.sub(r"(\d+) \d+", r"\1", pictures[0])]),
)
defect("image-url-fetched", "image-url", route=_fetches("http://"))
# A guard that compares the text of an address.
defect("image-url-by-name-fetched", "image-url", route=_fetches("http://localhost"))
defect("image-url-by-number-fetched", "image-url", route=_fetches("http://2130706433"))
defect("image-file-read", "image-url", route=_fetches("file://"))

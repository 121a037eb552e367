"""A stand-in for the model hubs: the endpoints of Hugging Face, ModelScope and AI Studio that their
own clients call, on loopback, with Range requests, and with the faults of networks and mirrors.

The forms of the answers are those that huggingface-hub 2.4.0, modelscope-hub 0.5.1 and aistudio-sdk
0.3.9 read; large files are redirected to another path, as the hubs redirect to a CDN.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

CHUNK = 64 * 1024
LARGE = 4096
"""Bytes from which on a file is kept in LFS."""

ENDPOINTS = ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "STUDIO_GIT_HOST")


def blob_of(data: bytes) -> str:
    """The name that git gives to a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer_of(data: bytes) -> bytes:
    """The text that git has instead of a large file."""
    digest = hashlib.sha256(data).hexdigest()
    head = "version https://git-lfs.github.com/spec/v1"
    return f"{head}\noid sha256:{digest}\nsize {len(data)}\n".encode()


def commit_of(files: dict[str, bytes]) -> str:
    """A commit's name: other files, another commit."""
    digest = hashlib.sha1()
    for path, data in sorted(files.items()):
        digest.update(f"{path}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()


@dataclass
class Hub:
    """One model on all three hubs, and how badly it is served.

    `corrupt` are paths of which other bytes are sent, with the right size. `rate` are bytes per
    second, `stall_after` and `cut_after` bytes of files after which the server is silent, or closes
    each connection once. `token` must come with each request. `on_bytes` is called with the bytes
    of files sent so far.
    """

    model: str = "baidu/ERNIE-tiny"
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    rate: float | None = None
    stall_after: int | None = None
    cut_after: int | None = None
    token: str | None = None
    on_bytes: Callable[[int], None] | None = None
    sent: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def commit(self, files: dict[str, bytes], *branches: str) -> str:
        """Add a commit, to which `branches` (else the default ones) point."""
        name = commit_of(files)
        self.commits[name] = files
        for branch in branches or ("main", "master"):
            self.branches[branch] = name
        return name

    def environment(self) -> dict[str, str | None]:
        """The variables by which the clients find this hub, and no proxy."""
        proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        none = {name: None for one in proxies for name in (one, one.lower())}
        return {**none, **dict.fromkeys(ENDPOINTS, self.url)}

    def files_sent(self) -> list[str]:
        """The paths of the requests for contents, in order."""
        return [
            path for path, _ in self.requests if re.search("/(cdn|resolve|media)/|FilePath=", path)
        ]

    def count(self, size: int) -> None:
        """Bytes of a file went out."""
        with self._lock:
            self.sent += size
            sent = self.sent
        if self.on_bytes is not None:
            self.on_bytes(sent)

    def tree(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit behind a revision, and its files."""
        commit = self.branches.get(revision, revision)
        files = self.commits.get(commit)
        return (commit, files) if files is not None else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.hub
        hub.requests.append((self.path, dict(self.headers.items())))
        split = urlsplit(self.path)
        path, query = unquote(split.path), {k: v[0] for k, v in parse_qs(split.query).items()}
        credentials = f"{self.headers.get('Authorization')} {self.headers.get('Cookie')}"
        if hub.token is not None and hub.token not in credentials and not path.startswith("/cdn/"):
            self._json(401, {"error": "no token", "message": "no token"})
            return
        for pattern, answer in (
            (rf"/api/models/{hub.model}(/revision/(?P<rev>.+))?$", self._huggingface),
            (rf"/{hub.model}/resolve/(?P<rev>[^/]+)/(?P<path>.+)$", self._resolve),
            (r"/cdn/(?P<rev>[^/]+)/(?P<path>.+)$", self._content),
            (rf"/api/v1/models/{self._paddle()}/repo/files$", self._modelscope),
            (rf"/api/v1/models/{self._paddle()}/repo$", self._modelscope_file),
            (rf"/api/v1/repos/{self._paddle()}/git/trees/(?P<rev>.+)$", self._aistudio),
            (rf"/api/v1/repos/{self._paddle()}/contents/(?P<path>.+)$", self._aistudio_facts),
            (rf"/api/v1/repos/{self._paddle()}/media/(?P<path>.+)$", self._aistudio_file),
        ):
            match = re.match(pattern, path)
            if match:
                answer({**match.groupdict(), **query})
                return
        self._json(404, {"error": "not found", "message": path})

    def _paddle(self) -> str:
        return "(?:baidu|PaddlePaddle)/" + self.hub.model.partition("/")[2]

    def _tree(self, revision: str | None, default: str) -> tuple[str, dict[str, bytes]] | None:
        tree = self.hub.tree(revision or default)
        if tree is None:
            self._json(404, {"error": "Invalid rev id", "message": f"no revision {revision}"})
        return tree

    def _huggingface(self, query: dict[str, str]) -> None:
        tree = self._tree(query.get("rev"), "main")
        if tree is None:
            return
        siblings = []
        for path, data in tree[1].items():
            one = {"rfilename": path, "size": len(data), "blobId": blob_of(data)}
            if len(data) >= LARGE:
                sha256 = hashlib.sha256(data).hexdigest()
                one |= {"lfs": {"sha256": sha256, "size": len(data), "pointerSize": 134}}
            if path in self.hub.unlisted:
                del one["blobId"]
            siblings.append(one)
        self._json(200, {"id": self.hub.model, "sha": tree[0], "siblings": siblings})

    def _resolve(self, query: dict[str, str]) -> None:
        tree = self._tree(query["rev"], "main")
        if tree is None:
            return
        if len(tree[1].get(query["path"], b"")) >= LARGE:
            self._redirect(f"/cdn/{tree[0]}/{quote(query['path'])}")
        else:
            self._content(query)

    def _modelscope(self, query: dict[str, str]) -> None:
        tree = self._tree(query.get("Revision"), "master")
        if tree is None:
            return
        files = [
            {"Path": path, "Name": path, "Type": "blob", "Size": len(data), "Revision": tree[0],
             "Sha256": hashlib.sha256(data).hexdigest(), "CommittedDate": 1700000000}
            for path, data in tree[1].items()
        ]  # fmt: skip
        files.append({"Path": "folder", "Name": "folder", "Type": "tree", "Size": 0})
        self._json(200, {"Code": 200, "Success": True, "Data": {"Files": files}})

    def _modelscope_file(self, query: dict[str, str]) -> None:
        self._content({"rev": query["Revision"], "path": query["FilePath"]})

    def _aistudio(self, query: dict[str, str]) -> None:
        tree = self._tree(query.get("rev"), "master")
        if tree is None:
            return
        entries = [{"path": p, "type": "blob", "size": len(d)} for p, d in tree[1].items()]
        url = f"{self.hub.url}/api/v1/repos/{self.hub.model}/git/trees/{tree[0]}"
        answer = {"sha": tree[0], "url": url, "tree": entries, "truncated": False}
        self._json(200, {**answer, "total_count": len(entries)})

    def _aistudio_facts(self, query: dict[str, str]) -> None:
        tree = self._tree(query.get("ref"), "master")
        if tree is None:
            return
        data = tree[1][query["path"]]
        sha = blob_of(pointer_of(data) if len(data) >= LARGE else data)
        name = query["path"].rpartition("/")[2]
        self._json(200, {"name": name, "path": query["path"], "sha": sha, "size": len(data)})

    def _aistudio_file(self, query: dict[str, str]) -> None:
        self._content({"rev": query.get("ref", "master"), "path": query["path"]})

    def _content(self, query: dict[str, str]) -> None:
        tree = self._tree(query["rev"], "main")
        if tree is None:
            return
        data = tree[1].get(query["path"])
        if data is None:
            self._json(404, {"error": "Entry not found"})
            return
        if query["path"] in self.hub.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        match = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range") or "")
        start, stop = 0, len(data)
        if match:
            start = int(match[1])
            stop = min(stop, int(match[2]) + 1) if match[2] else stop
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(stop - start))
        if match:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send(data[start:stop])

    def _send(self, data: bytes) -> None:
        hub = self.hub
        for position in range(0, len(data), CHUNK):
            chunk = data[position : position + CHUNK]
            if hub.stall_after is not None and hub.sent >= hub.stall_after:
                hub.released.wait(60)
                self.close_connection = True
                return
            if hub.cut_after is not None and hub.sent >= hub.cut_after:
                hub.cut_after = None
                self.close_connection = True
                return
            with contextlib.suppress(ConnectionError):
                self.wfile.write(chunk)
                hub.count(len(chunk))
                if hub.rate is not None:
                    time.sleep(len(chunk) / hub.rate)
                continue
            self.close_connection = True
            return

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is what the tests are about."""


@contextlib.contextmanager
def serve(hub: Hub | None = None) -> Iterator[Hub]:
    """The hub on a port of loopback."""
    hub = hub or Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.released.set()
            server.shutdown()
            thread.join()

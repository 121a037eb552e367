"""Lists and downloads a model with the hubs' own clients; runs in their environment, as a script.

It is executed by the interpreter of `engine install hub-clients` and imports nothing of launcher.
The request is one JSON object on standard input. Events are JSON lines on standard output, which
nothing else can write to: what the clients print goes to standard error.

    {"event": "listing", "commit": ..., "default": ..., "files": [{"path", "size", "sha256"|"git"}]}
    {"event": "bytes", "count": N}          N more bytes are on the disk (negative: thrown away)
    {"event": "file", "path": ...}          the file is complete in the folder
    {"event": "error", "kind": ..., "message": ...}

A partial file is kept and continued at its last byte by the next run:

* huggingface: `hf_hub_download` 2.x throws a partial file away (a temporary name for each process),
  so `http_get`, which it is made of, is called with a file of ours, and with `resume_size`.
* modelscope: `DownloadManager.download_file` continues `FILE.incomplete`.
* aistudio: `file_download` continues `._tmp/FILE`, and leaves it there: a file that was continued
  is never put in its place by release 0.3.9 (`download_file` returns without a digest).
"""

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

WORKERS = 4
"""Files that are downloaded at the same time; what `snapshot_download` of modelscope does."""
CHUNK = 256 * 1024
"""Bytes that a client keeps before it writes them. Theirs are 1 to 10 MB: at 30 kB/s nothing would
be heard for five minutes, and an interruption would lose as much."""
INTERVAL = 0.2
"""Seconds between two events about bytes."""
PARTS = ".ernie-deploy-parts"
"""Folder of the partial files that are ours (huggingface)."""
Entry = dict[str, Any]

_lock = threading.Lock()
_descriptor = 1
"""Where events go: `main` takes standard output away from the clients."""


def _send(event: str, **fields: object) -> None:
    data = json.dumps({"event": event, **fields}).encode() + b"\n"
    with _lock:
        while data:
            data = data[os.write(_descriptor, data) :]


class Bar:
    """What the clients take for a progress bar (`tqdm`), or call back with (modelscope)."""

    _count = 0
    _sent = 0.0
    _own = threading.Lock()

    def __init__(self, *arguments: object, **options: object) -> None:
        """Take whatever a `tqdm` takes."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, size: float | None = 1) -> None:
        """Some bytes more; told a few times a second only."""
        with Bar._own:
            Bar._count += int(size or 0)
            now = time.monotonic()
            if now - Bar._sent < INTERVAL:
                return
            Bar._sent = now
        Bar.flush()

    @staticmethod
    def flush() -> None:
        """Tell what was not told yet."""
        with Bar._own:
            count, Bar._count = Bar._count, 0
        if count:
            _send("bytes", count=count)

    def close(self) -> None:
        """The end of a file."""
        Bar.flush()

    end = close


class Huggingface:
    """The Hugging Face hub, or a mirror that HF_ENDPOINT names."""

    def __init__(self, request: Entry) -> None:
        """Keep what is asked for."""
        self.model, self.revision = request["model"], request["revision"]

    def list_files(self) -> tuple[str, bool, list[Entry]]:
        """The commit behind the revision, whether it is that of the default branch, the files."""
        from huggingface_hub import HfApi

        info = HfApi().model_info(self.model, revision=self.revision, files_metadata=True)
        files = []
        for one in info.siblings or ():
            entry: Entry = {"path": one.rfilename, "size": one.size}
            if one.lfs is not None:
                entry |= {"size": one.lfs.size, "sha256": one.lfs.sha256}
            else:
                entry["git"] = one.blob_id
            files.append(entry)
        return info.sha or "", self.revision in (None, "main"), files

    def download(self, folder: Path, entry: Entry, commit: str) -> None:
        """Download one file, or what is missing of it."""
        from huggingface_hub import constants, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        target = folder / entry["path"]
        digest = entry.get("sha256") or entry.get("git") or ""
        name = hashlib.sha256(f"{entry['path']}\0{digest}".encode()).hexdigest()
        part = folder / PARTS / name
        part.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            have = file.tell()
            if have > entry["size"]:
                file.truncate(0)
                have = 0
            Bar().update(have)
            if entry["size"]:
                http_get(
                    hf_hub_url(self.model, entry["path"], revision=commit),
                    file,
                    resume_size=have,
                    headers=build_hf_headers(),
                    expected_size=entry["size"],
                    tqdm_class=Bar,
                )
        part.rename(target)


class Modelscope:
    """ModelScope, or what MODELSCOPE_ENDPOINT names."""

    def __init__(self, request: Entry) -> None:
        """Make a client: it reads its endpoint and its token from the environment."""
        from modelscope_hub import _download
        from modelscope_hub.api import HubApi

        _download.DOWNLOAD_CHUNK_SIZE = CHUNK
        self.model, self.revision = request["model"], request["revision"]
        self.api = HubApi()

    def list_files(self) -> tuple[str, bool, list[Entry]]:
        """The newest commit of any file, and each file with the commit that it comes from.

        The hub's API for files names a commit for each file and none for the branch.
        """
        raw = self.api.legacy.list_repo_files(self.model, "model", self.revision or "master")
        blobs = [one for one in raw if one.get("Type") != "tree"]
        files = [
            {
                "path": one["Path"],
                "size": int(one.get("Size") or 0),
                "sha256": one.get("Sha256"),
                "revision": one.get("Revision"),
            }
            for one in blobs
        ]
        newest: Entry = max(blobs, key=lambda one: one.get("CommittedDate") or 0, default={})
        return newest.get("Revision") or "", self.revision in (None, "master"), files

    def download(self, folder: Path, entry: Entry, commit: str) -> None:
        """Download one file, or what is missing of it."""
        self.api.downloader.download_file(
            self.model,
            "model",
            entry["path"],
            revision=entry.get("revision") or commit,
            local_dir=folder,
            expected_sha256=entry.get("sha256"),
            file_size=entry["size"],
            progress_callbacks=[Bar],
        )


class Aistudio:
    """Baidu AI Studio, or what STUDIO_GIT_HOST names."""

    def __init__(self, request: Entry) -> None:
        """Put our progress bar in the place of the client's."""
        from aistudio_sdk import file_download

        file_download.tqdm = Bar
        file_download.API_FILE_DOWNLOAD_CHUNK_SIZE = CHUNK
        self.client = file_download
        self.model, self.revision = request["model"], request["revision"]

    def list_files(self) -> tuple[str, bool, list[Entry]]:
        """The commit of the tree; each file's size and git blob from the hub's file information."""
        from aistudio_sdk.snapshot_download import get_model_files

        revision = self.revision or "master"
        tree, info = get_model_files(self.model, revision)
        commit = str(info.get("Revision") or "")
        paths = [one["path"] for one in tree if one.get("type") != "tree"]
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            facts = list(pool.map(lambda path: self._facts(path, commit or revision), paths))
        return commit, self.revision in (None, "master"), facts

    def _facts(self, path: str, revision: str) -> Entry:
        facts = self.client.get_git_info(self.model, path, revision, None)
        if "path" not in facts:
            raise ConnectionError(f"the hub says nothing of {path}: {facts.get('error_msg')}")
        # The git blob of a large file is that of its LFS pointer; its size is the file's own.
        return {
            "path": path, "size": int(facts["size"]), "sha256": facts.get("Sha256"),
            "git": facts.get("sha"),
        }  # fmt: skip

    def download(self, folder: Path, entry: Entry, commit: str) -> None:
        """Download one file, or what is missing of it."""
        # Not `file_download`: it reports each download to a server of statistics.
        self.client._repo_file_download(
            self.model, entry["path"], revision=commit, local_dir=str(folder)
        )
        target, left = folder / entry["path"], folder / "._tmp" / entry["path"]
        if not target.exists() and left.exists() and left.stat().st_size == entry["size"]:
            target.parent.mkdir(parents=True, exist_ok=True)
            left.rename(target)
        if not target.exists():
            raise ConnectionError(f"the client could not download {entry['path']}")


HUBS: dict[str, Callable[[Entry], Any]] = {
    "huggingface": Huggingface,
    "modelscope": Modelscope,
    "aistudio": Aistudio,
}


def _download(hub: Any, request: Entry) -> None:
    folder = Path(request["folder"])
    # The largest first: the last one to end is then a small one.
    files = sorted(request["files"], key=lambda entry: -entry["size"])
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    futures = {pool.submit(hub.download, folder, one, request["commit"]): one for one in files}
    for future in concurrent.futures.as_completed(futures):
        error = future.exception()
        if error is not None:
            # The other threads are in the middle of a file; what they have written is kept.
            _fail(error)
        Bar.flush()
        _send("file", path=futures[future]["path"])
    pool.shutdown()


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OF_NETWORKS = ("httpx2", "httpcore2", "requests", "urllib3")
"""Packages whose exceptions are the network's."""


def _fail(error: BaseException) -> NoReturn:
    Bar.flush()
    kind, text = _kind(error), " ".join(str(error).split()) or type(error).__name__
    _send("error", kind=kind, message=text[:1000])
    os._exit(1)


def _kind(error: BaseException) -> str:
    """What went wrong, in the words that `launcher.weights.child` knows."""
    chain = list(_chain(error))
    numbers = {one.errno for one in chain if isinstance(one, OSError)}
    if numbers & _FULL or any(os.strerror(number) in str(error) for number in _FULL):
        return "disk-full"
    for one in chain:
        code = getattr(getattr(one, "response", None), "status_code", None)
        code = code or getattr(one, "status_code", None)
        name = type(one).__name__
        if code in (401, 403):
            return "unauthorized"
        if code == 404 or name in ("NotExistError", "RepositoryNotFoundError"):
            return "not-found"
        if name in ("FileIntegrityError", "FileSizeMismatchError"):
            return "wrong-bytes"
        if isinstance(one, OSError) or name in ("NetworkError", "RequestTimeoutError"):
            return "network"
        if type(one).__module__.partition(".")[0] in _OF_NETWORKS:
            return "network"
    return "client"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def main() -> None:
    """Do what the request on standard input says."""
    global _descriptor
    _descriptor = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.read())
    try:
        hub = HUBS[request["hub"]](request)
        if request["action"] == "list":
            commit, is_default, files = hub.list_files()
            _send("listing", commit=commit, default=is_default, files=files)
        else:
            _download(hub, request)
    except Exception as error:
        _fail(error)


if __name__ == "__main__":
    main()

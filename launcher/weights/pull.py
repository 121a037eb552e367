"""`model pull`: downloads a model until it is whole, and gives it its name only then."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from launcher import files, paths
from launcher.codec import encode
from launcher.environments.install import unwind_on_signals
from launcher.environments.progress import Progress
from launcher.errors import DeployError, PreconditionError, Problem
from launcher.host import disk
from launcher.json_values import JsonObject, integer_at, text_at
from launcher.weights import manifest, store
from launcher.weights.child import Client
from launcher.weights.listing import ListedFile, Listing, read_listing
from launcher.weights.manifest import Manifest, ModelFile
from launcher.weights.meter import Meter, size_text
from launcher.weights.partial import Partial
from launcher.weights.payloads import PulledModel
from launcher.weights.store import Home

ROUNDS = 2
"""Times that a file with wrong bytes is downloaded before the hub is blamed."""
RESERVE = 64 * 1024 * 1024
"""Bytes that must stay free: journals, manifests, the logs of whatever runs here."""


@dataclass(frozen=True)
class Order:
    """What to pull: a model's revision (None: the default branch) from a hub into `home`.

    `to` is a folder of the user's own choice instead; `repair` reads a copy that is there.
    """

    home: Home
    revision: str | None = None
    to: Path | None = None
    repair: bool = False

    @property
    def source(self) -> str:
        """The model's name on the hub."""
        return store.source_of(self.home.model, self.home.hub)

    @property
    def partial(self) -> Path:
        """Where the download grows."""
        if self.to is None:
            return self.home.partial
        return self.to.with_name(f".{self.to.name}.partial")

    def target(self, commit: str) -> Path:
        """The folder that the whole copy gets."""
        return self.to or self.home.snapshot(commit)


def pull(order: Order, client: Client, progress: Progress) -> PulledModel:
    """Download what is missing, verify all, and put the folder in its place.

    Raises:
        PreconditionError: the hub, its list, the disk or what is in the way; `wrong-checksum`.
        DeadlineError: nothing came for a long time.
    """
    started = time.monotonic()
    with unwind_on_signals(), locked(order):
        pull_ = _Pull(order, client, progress)
        try:
            listing = pull_.list_files()
            pulled, new = pull_.carry_out(listing)
        except OSError as error:
            raise _disk_error(error, order) from error
        except (KeyboardInterrupt, SystemExit):
            progress.note("interrupted: the same command continues where it stopped")
            raise
        finally:
            progress.close()
        if order.to is None:
            order.home.point(order.revision, pulled.commit, is_default=listing.is_default)
    return PulledModel(
        model=pulled.model,
        hub=pulled.hub,
        revision=order.revision,
        commit=pulled.commit,
        folder=str(order.target(pulled.commit)),
        size_bytes=pulled.size,
        files=len(pulled.files),
        new=new,
        downloaded_bytes=pull_.downloaded,
        seconds=round(time.monotonic() - started, 3),
        used_by_hub_id=order.to is None,
    )


@dataclass
class _Pull:
    order: Order
    client: Client
    progress: Progress
    downloaded: int = 0
    _verified: dict[str, ModelFile] = field(default_factory=dict)

    def list_files(self) -> Listing:
        """The files of the revision, at the commit that it is now."""
        order = self.order
        self.progress.stage(f"asking {order.home.hub} for {order.source}")
        events: list[JsonObject] = []
        request: JsonObject = {
            "action": "list", "model": order.source, "revision": order.revision,
        }  # fmt: skip
        self.client.run(request, events.append, self.progress.tick)
        if not events:
            raise PreconditionError.of("hub-client-failed", f"{order.home.hub}: no list of files")
        return read_listing(events[0], order.home.hub, order.source)

    def carry_out(self, listing: Listing) -> tuple[Manifest, bool]:
        """The manifest of the whole copy, and whether it is new."""
        target = self.order.target(listing.commit)
        there = manifest.read(target)
        if there is not None and not self.order.repair and _is_whole(target, there, listing):
            return there, False
        partial = self._begin(target, there)
        pending = self._examine(partial, listing)
        self._check_disk(partial, pending)
        wrong: dict[str, str] = {}
        for _ in range(ROUNDS):
            if pending:
                wrong = self._download(partial, listing, pending)
                pending = [one for one in listing.files if one.path not in self._verified]
        if pending:
            raise _wrong(self.order, [wrong.get(one.path, one.path) for one in pending])
        self.progress.stage("putting it in its place")
        new_manifest = Manifest(
            schema=manifest.SCHEMA,
            model=self.order.home.model,
            hub=self.order.home.hub,
            source=self.order.source,
            revision=self.order.revision,
            commit=listing.commit,
            pulled_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            files=tuple(self._verified[one.path] for one in listing.files),
        )
        partial.finish(new_manifest, target)
        return new_manifest, True

    def _begin(self, target: Path, there: Manifest | None) -> Partial:
        """The folder to download into; a copy that is there and not whole becomes it."""
        if there is None:
            _check_free(target)
            return Partial(self.order.partial)
        _clear(self.order.partial)
        self.progress.note(f"{target} is read again, and what is damaged is downloaded again")
        target.rename(self.order.partial)
        (self.order.partial / manifest.NAME).unlink()
        partial = Partial(self.order.partial)
        partial.forget()
        return partial

    def _examine(self, partial: Partial, listing: Listing) -> list[ListedFile]:
        """What is still to be downloaded: all but what is there already and right."""
        self.progress.stage("reading what is there")
        self._link_from_other_copies(partial, listing)
        meter = Meter(self.progress, listing.size)
        pending = []
        for one in listing.files:
            verified, problem = partial.check(one, meter.count)
            if problem:
                self.progress.note(f"{problem}: it is downloaded again")
            if verified is None:
                pending.append(one)
            else:
                self._verified[one.path] = verified
        partial.remember()
        return pending

    def _link_from_other_copies(self, partial: Partial, listing: Listing) -> None:
        """Files that another commit of the same model has too, with the same checksum."""
        home = self.order.home
        paths_by_digest: dict[str, Path] = {}
        for commit in store.snapshots(home):
            copy = store.copy_of(home, commit)
            for one in copy.manifest.files if copy else ():
                paths_by_digest.update(
                    {d: copy.folder / one.path for d in (one.sha256, one.git) if copy and d}
                )
        for listed in listing.files:
            source = paths_by_digest.get(listed.sha256 or listed.git or "")
            if source is not None and not (partial.folder / listed.path).exists():
                partial.link(source, listed.path)

    def _check_disk(self, partial: Partial, pending: list[ListedFile]) -> None:
        missing = sum(one.size for one in pending) - partial.bytes_of_parts()
        free = disk.space(partial.folder).free
        if missing > 0 and free < missing + RESERVE:
            raise PreconditionError.of(
                "disk-full",
                f"{self.order.home.model} needs {size_text(missing)} more in {partial.folder}, "
                f"and {size_text(free)} are free", None,
                "free space, or use --to or the profile's `cache-dir` on a larger file system",
            )  # fmt: skip

    def _download(
        self, partial: Partial, listing: Listing, pending: list[ListedFile]
    ) -> dict[str, str]:
        """Download and verify; returns what is wrong by path."""
        partial.prepare()
        by_path = {one.path: one for one in pending}
        total = sum(one.size for one in pending)
        self.progress.stage(f"downloading {len(pending)} files of {self.order.source}")
        meter = Meter(self.progress, total)
        before = partial.bytes_of_parts()
        first = True
        checks: dict[str, Future[tuple[ModelFile | None, str | None]]] = {}
        with ThreadPoolExecutor(1) as pool:

            def on_event(event: JsonObject) -> None:
                nonlocal first
                count = integer_at(event, "count")
                if count is not None:
                    # The clients count what was there of a file as soon as they open it.
                    meter.add(count, transferred=not (first and before))
                    first = False
                    self.downloaded += count
                path = text_at(event, "path")
                if path in by_path and path not in checks:
                    checks[path] = pool.submit(partial.check, by_path[path], lambda _: None)

            request: JsonObject = {
                "action": "download", "model": self.order.source, "revision": self.order.revision,
                "commit": listing.commit, "folder": str(partial.folder),
                "files": [encode(one.entry) for one in pending],
            }  # fmt: skip
            try:
                self.client.run(request, on_event, meter.show)
            finally:
                self.downloaded = max(0, self.downloaded - before)
                wrong = self._collect(partial, checks)
        return wrong

    def _collect(
        self, partial: Partial, checks: dict[str, Future[tuple[ModelFile | None, str | None]]]
    ) -> dict[str, str]:
        wrong = {}
        if checks:
            self.progress.stage("verifying")
        for path, check in checks.items():
            while True:
                with contextlib.suppress(TimeoutError):
                    verified, problem = check.result(timeout=0.5)
                    break
                self.progress.tick()
            if verified is not None:
                self._verified[path] = verified
            elif problem:
                self.progress.note(problem)
                wrong[path] = problem
        partial.remember()
        return wrong


def _is_whole(folder: Path, there: Manifest, listing: Listing) -> bool:
    """Whether a copy is this commit, and none of its files was removed or cut."""
    return (
        there.commit == listing.commit
        and {one.path for one in there.files} == {one.path for one in listing.files}
        and not store.differing(folder, there)
    )


def _check_free(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()) and not target.is_symlink():
        return
    if os.path.lexists(target):
        raise PreconditionError.of(
            "folder-exists", f"{target} exists and was not made by `model pull`", None,
            "move it away, or choose another folder with --to",
        )  # fmt: skip


def _clear(folder: Path) -> None:
    import shutil  # here: most verbs remove no folder

    if folder.exists():
        shutil.rmtree(folder)


def _wrong(order: Order, problems: list[str]) -> DeployError:
    return PreconditionError(
        [
            Problem(
                "wrong-checksum", f"{order.home.hub}: {order.source}: {problem}", None,
                "the hub or a cache between sends other bytes than the hub lists: try again later, "
                "or another --hub; nothing was put in place",
            )
            for problem in problems[:20]
        ]
    )  # fmt: skip


def _disk_error(error: OSError, order: Order) -> DeployError:
    code = "disk-full" if files.is_full(error) else "folder-not-writable"
    return PreconditionError.of(
        code, f"{error.filename or order.partial}: {error.strerror or error}", None,
        "free space or choose another folder with --to; what was downloaded is kept",
    )  # fmt: skip


@contextlib.contextmanager
def locked(order: Order) -> Iterator[None]:
    """One pull of a model at a time."""
    folder = order.home.folder if order.to is None else order.to.parent
    name = ".lock" if order.to is None else f".{order.to.name}.lock"
    try:
        paths.private_folder(folder)
        descriptor = files.open_plain(folder / name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _disk_error(error, order) from error
    with os.fdopen(descriptor, "r+") as file:
        if not files.try_lock(file.fileno()):
            raise PreconditionError.of(
                "locked",
                f"another command is at work on {order.home.model} (pid {file.read(20) or '?'})",
                str(folder / name), "wait for it; find it with `fuser` on that file",
            )  # fmt: skip
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            if order.to is not None:
                (folder / name).unlink(missing_ok=True)

"""Where models are kept: folders in the layout of the Hugging Face cache, one root for each hub.

    <root>/<hub>/models--<owner>--<name>/
        snapshots/<commit>/          the files and their manifest; whole, or not there
        refs/<revision>              the commit that the revision was when it was pulled
        by-name/<commit>/<name>      a link to the snapshot: engines judge a model by its name
        .partial/                    what was downloaded so far
        .lock                        held by a pull

`root` is `models/` of the state directory, or a profile's `cache-dir`. Hugging Face's libraries
read `<root>/<hub>` as their cache (HF_HUB_CACHE); `refs/main` is every hub's default branch.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.errors import DeployError, PreconditionError, UsageError
from launcher.weights import manifest
from launcher.weights.manifest import Manifest

HUBS = ("huggingface", "modelscope", "aistudio")
"""What can be pulled from; the first is the default for a model that no profile asks for."""
KINDS = (*HUBS, manifest.LOCAL)
DEFAULT_REF = "main"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,127}")


@dataclass(frozen=True)
class Home:
    """The folder of one model of one hub; `cache` is `<root>/<hub>`."""

    cache: Path
    model: str

    @property
    def hub(self) -> str:
        """The hub that it comes from."""
        return self.cache.name

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.cache / f"models--{self.model.replace('/', '--')}"

    @property
    def partial(self) -> Path:
        """What was downloaded and is not whole yet."""
        return self.folder / ".partial"

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.folder / "snapshots" / commit

    def named(self, commit: str) -> Path:
        """The link to the folder of a commit that ends with the model's name."""
        return self.folder / "by-name" / commit / self.model.rpartition("/")[2]

    def commit_of(self, revision: str | None) -> str | None:
        """The commit of the newest pull of a revision; the revision itself where it is one."""
        ref = self.folder / "refs" / (revision or DEFAULT_REF)
        with contextlib.suppress(OSError, ValueError):
            text = files.read_text(ref).strip()
            if manifest.is_commit(text):
                return text
        if revision and manifest.is_commit(revision) and self.snapshot(revision).is_dir():
            return revision
        return None

    def point(self, revision: str | None, commit: str, *, is_default: bool) -> None:
        """Let the revision, and the default branch where it is that, name `commit`."""
        refs = {revision} if revision and revision != commit else set()
        refs |= {DEFAULT_REF} if is_default else set()
        for ref in refs:
            path = self.folder / "refs" / ref
            paths.private_folder(path.parent)
            files.write_atomically(path, commit)
        link = self.named(commit)
        paths.private_folder(link.parent)
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(self.snapshot(commit), link.parent))

    def revisions_of(self, commit: str) -> tuple[str, ...]:
        """The revisions that name `commit`."""
        root = self.folder / "refs"
        names = []
        for base, _, file_names in os.walk(root):
            for name in file_names:
                path = Path(base, name)
                with contextlib.suppress(OSError, ValueError):
                    if files.read_text(path).strip() == commit:
                        names.append(str(path.relative_to(root)))
        return tuple(sorted(names))


@dataclass(frozen=True)
class Copy:
    """A whole copy of a model: its home, and the manifest of its folder."""

    home: Home
    manifest: Manifest

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.home.snapshot(self.manifest.commit)


def default_root() -> Path:
    """`models/` of the state directory.

    Raises:
        PreconditionError: the state directory cannot be looked into.
    """
    paths.check_readable(paths.home())
    return paths.home() / "models"


def source_of(model: str, hub: str) -> str:
    """The name of a model on a hub: all but Hugging Face have Baidu's under another owner.

    (FastDeploy, `fastdeploy/utils.py` `retrive_model_from_server`, does the same.)
    """
    owner, _, name = model.partition("/")
    return f"PaddlePaddle/{name}" if hub != HUBS[0] and owner == "baidu" else model


def check_id(model: str) -> str:
    """`model`, where it is a hub id (`owner/name`).

    Raises:
        UsageError: `bad-model`.
    """
    if not _ID.fullmatch(model) or ".." in model or "--" in model:
        raise UsageError.of(
            "bad-model", f"{model!r} is not a hub id", "MODEL",
            "write it like baidu/ERNIE-4.5-21B-A3B-Thinking, or give a profile's path",
        )  # fmt: skip
    return model


def check_revision(revision: str | None) -> str | None:
    """`revision`, where it can be a branch, a tag or a commit.

    Raises:
        UsageError: `bad-revision`.
    """
    parts = (revision or "x").split("/")
    if revision is not None and (
        not _REF.fullmatch(revision) or not all(parts) or ".." in revision or revision[-1] == "."
    ):
        raise UsageError.of(
            "bad-revision", f"{revision!r} is not a branch, a tag or a commit", "--revision"
        )
    return revision


def find_all(
    model: str, revision: str | None, roots: tuple[Path, ...], hubs: tuple[str, ...] = KINDS
) -> list[Copy]:
    """The whole copies of a model's revision (None: the default branch), by root, then by hub.

    Raises:
        PreconditionError: `bad-manifest`.
    """
    copies = []
    for home in (Home(root / hub, model) for root in roots for hub in hubs):
        commit = home.commit_of(revision)
        copy = copy_of(home, commit) if commit else None
        if copy is not None:
            copies.append(copy)
    return copies


def preferred(copies: list[Copy], hub: str) -> Copy:
    """The first copy that comes from `hub`, else the first one."""
    return next((one for one in copies if one.home.hub == hub), copies[0])


def copy_of(home: Home, commit: str) -> Copy | None:
    """The copy of a commit, where its folder has every file with its size; None otherwise.

    Raises:
        PreconditionError: `bad-manifest`.
    """
    folder = home.snapshot(commit)
    read = manifest.read(folder)
    if read is None or differing(folder, read):
        return None
    return Copy(home, read)


def differing(folder: Path, expected: Manifest) -> list[str]:
    """The files of a manifest that `folder` lacks or has with another size; nothing is read."""
    different = []
    for one in expected.files:
        try:
            if (folder / one.path).stat().st_size != one.size:
                different.append(one.path)
        except OSError:
            different.append(one.path)
    return different


def homes(root: Path) -> Iterator[Home]:
    """Every model below `root`, in order.

    Raises:
        PreconditionError: `root` may not be read.
    """
    for hub in KINDS:
        if not paths.check_readable(root / hub):
            continue
        for folder in sorted((root / hub).glob("models--*")):
            name = folder.name.removeprefix("models--").replace("--", "/", 1)
            if folder.is_dir():
                yield Home(root / hub, name)


def snapshots(home: Home) -> list[str]:
    """The commits that have a folder, in order."""
    folder = home.folder / "snapshots"
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if manifest.is_commit(one.name))


def not_here(model: str, revision: str | None, remedy: str) -> DeployError:
    """The error where no whole copy is found."""
    text = f" at revision {revision}" if revision else ""
    return PreconditionError.of(
        "model-not-pulled", f"no whole copy of {model}{text} is on this machine", None, remedy
    )

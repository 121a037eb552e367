"""Where copies of a profile's model may be, and which hub its engine asks.

Nothing heavy is imported: `validate` looks for a copy too.
"""

from __future__ import annotations

from pathlib import Path

from launcher import engines
from launcher.profile.model import Profile
from launcher.weights import store
from launcher.weights.store import HUBS

_HOSTS = {
    "git.aistudio.baidu.com": "aistudio",
    "aistudio.baidu.com": "aistudio",
    "modelscope.cn": "modelscope",
    "www.modelscope.cn": "modelscope",
}
"""Host of a hub to its name; any other is Hugging Face, or a mirror of it."""


def roots_of(model: str | Profile) -> tuple[Path, ...]:
    """The folders in which a copy may be: the profile's `cache-dir`, then the state directory."""
    own = model.cache_dir if isinstance(model, Profile) else None
    return (*((Path(own),) if own else ()), store.default_root())


def hub_of(profile: Profile) -> str:
    """The hub that the profile's engine downloads from."""
    download = engines.get(profile.engine).needs(profile, None).download
    return _HOSTS.get(download.host, HUBS[0]) if download else HUBS[0]

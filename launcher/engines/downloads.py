"""Where the engines that read the Hugging Face hub put what they download."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from launcher.engines.doctor_checks import Download
from launcher.profile.model import Profile

HUGGING_FACE = "huggingface.co"


def hugging_face(profile: Profile) -> Download:
    """Hub and cache folder of a server that loads the profile's model with `huggingface_hub`."""
    # Of the caller's variables an engine sees XDG_CACHE_HOME, but none of the hub's own folders.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    home = profile.env.get("HF_HOME") or str(cache)
    folder = Path(profile.env.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
    endpoint = profile.env.get("HF_ENDPOINT") or os.environ.get("HF_ENDPOINT") or ""
    return Download(
        Path(profile.cache_dir) if profile.cache_dir else folder,
        (f"models--{profile.model.replace('/', '--')}",),
        urlsplit(endpoint).hostname or HUGGING_FACE,
    )

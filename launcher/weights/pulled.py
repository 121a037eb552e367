"""Lets a profile with a hub id use the copy that `model pull` made: nothing is downloaded then."""

from __future__ import annotations

from dataclasses import replace

from launcher import engines
from launcher.errors import Problem
from launcher.profile.model import Profile
from launcher.weights import store
from launcher.weights.places import hub_of, roots_of
from launcher.weights.store import Copy

SERVED = "served-model-name"
_CACHES = ("HF_HOME", "HF_HUB_CACHE")
_OF_DOWNLOADS = ("revision", "cache-dir")


def with_pulled(profile: Profile) -> Profile:
    """The profile as it is, or with the whole copy of its model that is on this machine.

    The copy of the profile's own hub is preferred. The API names the model as before.

    Raises:
        PreconditionError: `bad-manifest`.
    """
    way = engines.get(profile.engine).pulled_as
    if profile.model_is_path or way is None or (way == "cache" and _has_own_cache(profile)):
        return profile
    copies = store.find_all(profile.model, profile.revision, roots_of(profile))
    if not copies:
        return profile
    copy = copies[0] if len(copies) == 1 else store.preferred(copies, hub_of(profile))
    profile = replace(profile, notes=(*profile.notes, _note(profile, copy)))
    if way == "cache":
        return replace(profile, hub_cache=str(copy.home.cache))
    return _with_folder(profile, copy)


def _has_own_cache(profile: Profile) -> bool:
    return any(name in profile.env for name in _CACHES)


def _with_folder(profile: Profile, copy: Copy) -> Profile:
    manifest = copy.manifest
    # A link that ends with the model's name: engines know models by it.
    folder = copy.home.named(manifest.commit)
    name = profile.served_model_name or profile.model
    changes = {"model": str(folder if folder.is_dir() else copy.folder), SERVED: name}
    settings = {key: v for key, v in profile.settings.items() if key not in _OF_DOWNLOADS}
    resolved = {key: v for key, v in profile.resolved.items() if key not in _OF_DOWNLOADS}
    origins = dict(profile.origins)
    if "model" in origins:
        origins.setdefault(SERVED, origins["model"])
    return replace(
        profile,
        model=changes["model"],
        settings={**settings, SERVED: name},
        resolved={**resolved, **changes},
        origins=origins,
    )


def _note(profile: Profile, copy: Copy) -> Problem:
    commit = copy.manifest.commit[:12]
    return Problem(
        "pulled-model",
        f"the model is the copy of {copy.manifest.hub} at commit {commit}: {copy.folder}",
        profile.where("model"),
    )

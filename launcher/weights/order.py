"""From the words of `model pull MODEL|PROFILE` to what is pulled, from where, into which folder."""

from __future__ import annotations

from pathlib import Path

from launcher.environments import store as environments
from launcher.errors import PreconditionError, UsageError
from launcher.profile.model import Profile
from launcher.profile.secrets import resolve
from launcher.weights import store
from launcher.weights.child import Client
from launcher.weights.places import hub_of, roots_of
from launcher.weights.pull import Order
from launcher.weights.store import HUBS, KINDS, Copy, Home

RECIPE = "hub-clients"


def make_order(
    model: str | Profile,
    *,
    revision: str | None = None,
    hub: str | None = None,
    to: str | None = None,
    repair: bool = False,
) -> Order:
    """What to pull for a hub id, or for a profile: from the hub that its engine would ask.

    Raises:
        UsageError: the id or the revision is wrong; the profile's model is a folder.
    """
    home, revision = _home(model, revision, hub)
    folder = Path(to).expanduser().absolute() if to is not None else None
    return Order(home, store.check_revision(revision), folder, repair)


def find_copy(model: str | Profile, *, revision: str | None = None, hub: str | None = None) -> Copy:
    """The whole copy that a hub id or a profile means.

    Raises:
        UsageError: the id or the revision is wrong.
        PreconditionError: `model-not-pulled`, `bad-manifest`.
    """
    home, revision = _home(model, store.check_revision(revision), hub)
    copies = store.find_all(home.model, revision, roots_of(model), (hub,) if hub else KINDS)
    if not copies:
        again = f"ernie-deploy model pull {home.model}" + (f" --hub {hub}" if hub else "")
        raise store.not_here(home.model, revision, again)
    return store.preferred(copies, home.hub)


def make_client(hub: str, token: str | None, stall: float | None = None) -> Client:
    """The client of a hub; `token` is a reference (env:, file:, cmd:).

    Raises:
        PreconditionError: `missing-hub-clients`, `missing-secret`.
    """
    installed = environments.complete(RECIPE)
    if not installed:
        raise PreconditionError.of(
            "missing-hub-clients", "the clients of the model hubs are not installed", None,
            f"ernie-deploy engine install {RECIPE}",
        )  # fmt: skip
    secret = resolve(token) if token is not None else None
    return Client(installed[0].python, hub, secret, *([stall] if stall is not None else []))


def _home(model: str | Profile, revision: str | None, hub: str | None) -> tuple[Home, str | None]:
    if isinstance(model, str):
        return Home(store.default_root() / (hub or HUBS[0]), store.check_id(model)), revision
    if model.model_is_path:
        raise UsageError.of(
            "bad-model", f"the model of {model.name} is the folder {model.model}: there is nothing "
            "to pull", model.where("model"), "name a hub id, or a profile with one",
        )  # fmt: skip
    root = roots_of(model)[0]
    return (
        Home(root / (hub or hub_of(model)), store.check_id(model.model)),
        revision or model.revision,
    )

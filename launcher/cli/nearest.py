"""Unknown verbs: names that other tools use for the same thing, then near spellings."""

from __future__ import annotations

from collections.abc import Iterable

ALIASES = {"ps": "status"}
"""Words that are answered as the verb is: what people type before they have read anything."""

_MEANINGS: dict[str, dict[tuple[str, ...], str]] = {
    "": {
        ("up",): "start run launch serve boot create apply begin spawn load deploy",
        ("down",): "stop kill rm remove delete halt terminate shutdown destroy quit end clean "
        "cleanup unload",
        ("restart",): "reload redeploy reboot recreate update upgrade rollout bounce",
        ("status", "profiles list"): "list ls",
        ("status",): "state instances info describe inspect health healthcheck who",
        ("top",): "htop monitor dashboard stats watch",
        ("wait",): "wait-for await until sleep",
        ("events",): "event history timeline",
        ("enable",): "autostart systemd unit",
        ("keys rotate",): "rotate token tokens apikey apikeys",
        ("usage",): "quota quotas billing cost",
        ("logs",): "log tail journal output",
        ("smoke", "validate"): "test check verify",
        ("smoke",): "prove probe ping ask chat try selftest",
        ("compare",): "diff versus vs parity",
        ("validate",): "lint config-check",
        ("plan",): "dry-run dryrun preview command render estimate memory",
        ("doctor",): "preflight requirements gpu gpus nvidia-smi env environment",
        ("diagnose",): "debug why troubleshoot analyze analyse cause error errors crash",
        ("explain",): "man docs doc runbook runbooks wtf",
        ("profiles list",): "profile models model catalog catalogue",
        ("profiles init",): "init new generate template",
        ("profiles schema",): "schema",
        ("profiles show",): "show cat config print view get",
        ("profiles diff-release",): "diff-release",
        ("engine install",): "install add pull download setup",
        ("engine list",): "engines",
        ("engine path",): "which where",
        ("completion",): "completions autocomplete complete bash zsh",
        ("--help",): "help usage commands",
        ("version",): "versions about",
    },
    "profiles": {
        ("list",): "ls all",
        ("show",): "cat print view get describe inspect",
        ("init",): "new create add generate start",
        ("diff-release",): "diff compare releases upgrade",
        ("schema",): "json-schema jsonschema",
    },
    "engine": {
        ("list",): "ls ps status all available",
        ("install",): "add get pull download setup update upgrade",
        ("path",): "which where find show",
    },
}
"""Group to what people mean, with the words they use for it."""


def nearest(word: str, verbs: Iterable[str], group: str = "") -> tuple[str, ...]:
    """What may be meant by `word` in a group of commands, with these `verbs`; mostly one.

    A word that is spelled nearly like a verb or like one of its other names means that verb.
    """
    from launcher.nearest import nearest_all

    verbs = list(verbs)
    meant: dict[str, tuple[str, ...]] = {name: (name,) for name in verbs}
    for means, names in _MEANINGS.get(group, {}).items():
        for name in names.split():
            meant.setdefault(name, means)
    spelled = word.lower().replace("_", "-").strip("-")
    if spelled in meant:
        return meant[spelled]
    near = nearest_all(spelled, meant, 9, cutoff=0.7)
    swapped = [name for name in near if sorted(name) == sorted(spelled)]
    near = swapped or near or nearest_all(spelled, verbs, 1)
    return meant[near[0]] if near else ()


def no_such_verb(word: str, verbs: Iterable[str], group: str = "") -> str:
    """The message about an unknown verb, with the verbs that may be meant."""
    names = nearest(word, verbs, group)
    meant = " or ".join(repr(f"{group} {name}".strip()) for name in names)
    return f"no such verb: {word!r}" + (f"; did you mean {meant}?" if meant else "")

"""What is known of the models FastDeploy serves, read from `data/models.json`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.engines.fastdeploy.release_data import load
from launcher.json_values import JsonValue, integer_at, list_at, text_at, texts_at
from launcher.profile.model import Profile


@dataclass(frozen=True)
class ModelFacts:
    """A model of the table, recognised by the last part of its name.

    `reasoning` and `tool` are the neutral parser names it needs, None where it does not think or
    call tools. `heads` and `kv_heads` are attention heads, None where unknown. `torch`: its
    weights have Hugging Face's layout. `first_line` is the first release that serves it, `context`
    the number of tokens of a prompt and its answer.
    """

    id: str
    repo: str
    kind: str
    reasoning: str | None
    tool: str | None
    heads: int | None
    kv_heads: int | None
    torch: bool
    first_line: str | None
    context: int | None = None

    @property
    def all_heads(self) -> tuple[int, int] | None:
        """Attention heads and KV heads."""
        return (self.heads, self.kv_heads or self.heads) if self.heads else None

    @property
    def always_thinks(self) -> bool:
        """Whether it is one of the Thinking models, whose every answer does."""
        return self.id.endswith("-Thinking")

    @property
    def vision(self) -> bool:
        """Whether it sees."""
        return "vision" in self.kind


def model_facts(profile: Profile) -> ModelFacts | None:
    """The table's entry for a profile's model, None where the table has none.

    A local folder is recognised by its name, so a renamed one is unknown.
    """
    name = profile.model.rstrip("/").rpartition("/")[2].lower()
    return _by_name().get(name)


@functools.lru_cache(maxsize=1)
def _by_name() -> Mapping[str, ModelFacts]:
    by_name = {}
    for entry in list_at(load("models.json"), "models"):
        for repo in texts_at(entry, "repos"):
            by_name[repo.rpartition("/")[2].lower()] = _facts_of(entry, repo)
    return by_name


def _facts_of(entry: JsonValue, repo: str) -> ModelFacts:
    name = repo.rpartition("/")[2]
    reasoning, tool = (text_at(entry, "parsers", kind) for kind in ("reasoning", "tool"))
    first = text_at(entry, "first_release")
    return ModelFacts(
        id=text_at(entry, "id"),
        repo=repo,
        kind=text_at(entry, "kind"),
        reasoning=_neutral(reasoning),
        tool=_neutral(reasoning if tool == "same" else tool),
        heads=integer_at(entry, "heads"),
        kv_heads=integer_at(entry, "kv_heads"),
        torch=name.endswith(("-PT", "-Thinking")),
        first_line=first[:3] if first[:1].isdigit() else None,
        context=integer_at(entry, "context"),
    )


def _neutral(text: str) -> str | None:
    """`ernie_x1 | ernie-x1 (2.3+)` as the name profiles use: `ernie-x1`."""
    return text.split()[0].replace("_", "-") if text else None

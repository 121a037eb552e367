"""What is tested: where it is, how to ask it, and what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.clients.base import Endpoint

DEFAULT_BUDGET = 1024
DEFAULT_TIMEOUT = 120.0


@dataclass(frozen=True)
class TargetFacts:
    """A target as a report shows it, without secrets; `promises` None: nothing was declared."""

    name: str
    kind: str = ""
    url: str = ""
    model: str = ""
    dialect: str = ""
    engine: str | None = None
    release: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    promises: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def engine_text(self) -> str:
        """The engine and its release; empty where neither is known."""
        return " ".join(word for word in (self.engine, self.release) if word)


@dataclass(frozen=True)
class Target:
    """One endpoint under test.

    `promises` is None if nothing was declared (a URL). `extra` are single promises made
    beside them, `denied` promises taken back. `budget` is max_tokens of an ordinary question;
    times are in seconds. `silence_timeout` bounds one read (None: as long as the request may take,
    for a plain answer and a long prompt are silent to the end). `limits` are the context and the
    seats, None where unknown. `gateway` names engine and release of what answers Anthropic's
    dialect before the server, None where nothing does. `settings` maps a setting to (expected
    value, pointer) to be read at `settings_url`. `folder` is where the last run of it is kept, None
    where it is none of ours.
    """

    name: str
    kind: str
    endpoint: Endpoint
    model: str
    engine: str | None = None
    release: str | None = None
    promises: frozenset[str] | None = None
    extra: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    budget: int = DEFAULT_BUDGET
    request_timeout: float = DEFAULT_TIMEOUT
    silence_timeout: float | None = None
    check_timeout: float | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    health_url: str | None = None
    models_url: str | None = None
    metrics_url: str | None = None
    settings_url: str | None = None
    settings: Mapping[str, tuple[JsonValue, str]] = field(default_factory=dict)
    smoke: JsonObject = field(default_factory=dict)
    gateway: tuple[str, str | None] | None = None
    notes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    folder: Path | None = None

    def promised(self, capability: str) -> bool | None:
        """True or False where it is known whether the target promises this, else None."""
        if capability in self.denied:
            return False
        if capability in self.extra:
            return True
        return None if self.promises is None else capability in self.promises

    @property
    def facts(self) -> TargetFacts:
        """The target as a report shows it."""
        promises = None if self.promises is None else self.promises | self.extra
        return TargetFacts(
            name=self.name,
            kind=self.kind,
            url=self.endpoint.base_url,
            model=self.model,
            dialect=self.endpoint.dialect,
            engine=self.engine,
            release=self.release,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            promises=None if promises is None else tuple(sorted(promises)),
            notes=self.notes,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show."""
        mine = [self.endpoint.key or "", *self.endpoint.secret_fields.values(), *self.hidden]
        return tuple(s for s in mine if s)

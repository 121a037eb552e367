"""The one place where results reach stdout and stderr.

Stdout carries the answer (text, or one JSON envelope); errors as prose, progress and notes go to
stderr. What steers a terminal is taken out here, from every source (an engine, a server, a log).
A person at a terminal gets colours, lists that fit and errors that quote their line (`screens`,
`paint`, `frames`); what a pipe gets never changes with it.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

from launcher.json_values import JsonObject
from launcher.plain import plain
from launcher.result import Result

_FORCING = ("FORCE_COLOR", "CLICOLOR_FORCE")
_CONTROLS = re.compile(r"[\x7f-\x9f]")

RENDERERS: dict[str, str] = {
    "up": "launcher.report.instance_text:up",
    "down": "launcher.report.status_text:down",
    "restart": "launcher.report.service_text:restart",
    "status": "launcher.report.status_text:status",
    "probe": "launcher.report.instance_text:probe",
    "top": "launcher.report.service_text:overview",
    "wait": "launcher.report.service_text:waited",
    "events": "launcher.report.instance_text:nothing",
    "enable": "launcher.report.instance_text:boot",
    "disable": "launcher.report.instance_text:boot",
    "logs": "launcher.report.instance_text:nothing",
    "plan": "launcher.report.plan_text:plan",
    "render": "launcher.report.render_text:rendered",
    "diff": "launcher.report.render_text:drift",
    "validate": "launcher.report.validate_text:validate",
    "profiles list": "launcher.report.profile_text:listing",
    "profiles show": "launcher.report.profile_text:show",
    "profiles schema": "launcher.report.profile_text:schema",
    "profiles init": "launcher.report.profile_text:init",
    "profiles diff-release": "launcher.report.profile_text:diff_release",
    "engine list": "launcher.report.engine_text:listing",
    "engine install": "launcher.report.engine_text:install",
    "engine path": "launcher.report.engine_text:path",
    "model pull": "launcher.report.weights_text:pulled",
    "model verify": "launcher.report.weights_text:verified",
    "model list": "launcher.report.weights_text:listing",
    "bundle create": "launcher.report.weights_text:created",
    "bundle install": "launcher.report.weights_text:installed",
    "smoke": "launcher.report.smoke_text:smoke",
    "drill": "launcher.report.drill_text:drill",
    "report": "launcher.report.card_text:card",
    "bench": "launcher.report.bench_text:bench",
    "bench compare": "launcher.report.bench_text:comparison",
    "bench tune": "launcher.report.bench_text:tuning",
    "compare": "launcher.report.compare_text:compare",
    "doctor": "launcher.report.doctor_text:doctor",
    "diagnose": "launcher.report.diagnose_text:diagnose",
    "explain": "launcher.report.diagnose_text:explain",
    "incidents list": "launcher.report.incident_text:listing",
    "incidents show": "launcher.report.incident_text:show",
    "deploy": "launcher.report.rollout_text:deploy",
    "rollback": "launcher.report.rollout_text:deploy",
    "scale": "launcher.report.rollout_text:deploy",
    "door": "launcher.report.door_text:door",
    "history": "launcher.report.rollout_text:history",
    "keys list": "launcher.report.keys_text:listing",
    "keys rotate": "launcher.report.keys_text:rotation",
    "usage": "launcher.report.keys_text:usage",
    "lock": "launcher.report.rollout_text:lock",
    "unlock": "launcher.report.rollout_text:lock",
    "completion": "launcher.report.instance_text:script",
    "version": "launcher.report.instance_text:version",
}
"""Command to the function that turns its result into text for stdout."""


def emit(result: Result[object], *, as_json: bool) -> None:
    """Print a result: as JSON on stdout, or as text on stdout with its errors on stderr."""
    if as_json:
        emit_line(result.envelope())
        return
    if result.data is not None and result.command in RENDERERS:
        text = _text(result)
        if text:
            sys.stdout.write(text.rstrip("\n") + "\n")
            sys.stdout.flush()
    if result.errors:
        sys.stderr.write(_problems(result))
    sys.stderr.flush()


def _text(result: Result[object]) -> str:
    """The answer, for a terminal or for a pipe."""
    if not _is_decorated(sys.stdout):
        return plain(_renderer(RENDERERS[result.command])(result))
    from launcher.report import paint, screens, terminal

    stream = terminal.of(sys.stdout)
    screen = screens.SCREENS.get(result.command) if stream.laid_out else None
    text = screen(result, stream) if screen else None
    if text is not None:
        return text
    text = plain(_renderer(RENDERERS[result.command])(result))
    if stream.laid_out and result.command in screens.WRAPPED:
        text = screens.wrapped(text, stream)
    return paint.paint(result.command, text, stream)


def _problems(result: Result[object]) -> str:
    if not _is_decorated(sys.stderr):
        return "".join(f"ernie-deploy: {plain(p.text())}\n" for p in result.errors)
    from launcher.report import frames, terminal

    stream = terminal.of(sys.stderr)
    if not stream.laid_out:
        head = stream.style("ernie-deploy:", "bold", "red")
        return "".join(f"{head} {plain(p.text())}\n" for p in result.errors)
    return frames.frames(result.errors, stream) + "\n"


def _is_decorated(stream: TextIO) -> bool:
    """True where more than plain text may be due; what decides is not imported for a pipe."""
    return stream.isatty() or any(os.environ.get(name) for name in _FORCING)


def emit_line(event: JsonObject) -> None:
    """One JSON line of a stream (`up --json`, `logs -f --json`); the envelope comes last."""
    text = json.dumps(event, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(event)  # this encoding has not all of it: JSON's own escapes always do
    # JSON itself escapes only what is below a space; these too steer a terminal.
    text = _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _renderer(reference: str) -> Callable[[Result[Any]], str]:
    module, _, name = reference.partition(":")
    function: Callable[[Result[Any]], str] = getattr(importlib.import_module(module), name)
    return function

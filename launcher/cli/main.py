"""The command line: finds the verb and runs it.

Verbs are imported only when they are asked for, so that `--version` and completion stay fast.
"""

from __future__ import annotations

import importlib
import os

import click

from launcher import __version__
from launcher.cli.boundary import prepare_streams
from launcher.cli.examples import TARGET, examples
from launcher.cli.quick import COMPLETION

PROGRAM = "ernie-deploy"

VERBS: dict[str, tuple[str, str]] = {
    "up": ("launcher.cli.up", "Bring a profile's server up and prove that it works."),
    "down": ("launcher.cli.down", "Stop an instance and show that nothing is left."),
    "restart": ("launcher.cli.restart", "Take an instance down and bring it up again."),
    "deploy": ("launcher.cli.deploy", "Serve a profile by replicas, or replace what serves."),
    "rollback": ("launcher.cli.rollback", "Serve an earlier revision again."),
    "scale": ("launcher.cli.scale", "Change the number of replicas of a service."),
    "door": ("launcher.cli.door", "Serve the replicas that a folder lists behind one address."),
    "history": ("launcher.cli.history", "Show the changes of a service."),
    "keys": ("launcher.cli.keys", "List and rotate the API keys of a service's clients."),
    "usage": ("launcher.cli.key_usage", "Show requests, bytes and tokens of each API key."),
    "lock": ("launcher.cli.lock", "Forbid changes of a service."),
    "unlock": ("launcher.cli.unlock", "Allow changes of a service again."),
    "status": ("launcher.cli.status", "Say how instances are, with the evidence."),
    "probe": ("launcher.cli.probe", "Ask one question, for exec probes: live, ready, started."),
    "top": ("launcher.cli.top", "Watch all instances: state, queue, tokens/s, memory."),
    "wait": ("launcher.cli.wait", "Wait until an instance is ready, idle or stopped."),
    "events": ("launcher.cli.events", "Show what happened to an instance, live with -f."),
    "logs": ("launcher.cli.logs", "Show an instance's logs, secrets redacted."),
    "smoke": ("launcher.cli.smoke", "Prove that a server works: instance, profile or URL."),
    "drill": ("launcher.cli.drill", "Break an instance on purpose and measure what happens."),
    "compare": ("launcher.cli.compare", "Run the smoke suite against several targets."),
    "report": ("launcher.cli.report", "Make the serving card: all that is known of a server."),
    "bench": ("launcher.cli.bench", "Measure how fast a server is, and hold it to objectives."),
    "validate": ("launcher.cli.validate", "Check a profile against an engine's release."),
    "plan": ("launcher.cli.plan", "Show exactly what `up` would run, and whether it fits."),
    "render": (
        "launcher.cli.render",
        "Write the files for systemd, containers, Slurm, Kubernetes.",
    ),
    "diff": ("launcher.cli.diff", "Compare a profile with what runs and what was rendered."),
    "doctor": ("launcher.cli.doctor", "Check this machine before loading a model."),
    "diagnose": ("launcher.cli.diagnose", "Find the first cause in an instance's logs."),
    "incidents": ("launcher.cli.incidents", "List and show what went wrong, with the evidence."),
    "explain": (
        "launcher.cli.explain",
        "Explain a rule (ED-...), a code, a check; runbooks.",
    ),
    "profiles": ("launcher.cli.profiles", "List, show and start profiles; print the schema."),
    "engine": ("launcher.cli.engine", "List, install and find engines."),
    "model": ("launcher.cli.model", "Download, verify and list model weights."),
    "bundle": ("launcher.cli.bundle", "Carry a server to a host without a network."),
    "enable": ("launcher.cli.enable", "Start an instance at every boot (systemd)."),
    "disable": ("launcher.cli.disable", "Start an instance at boot no more."),
    "completion": ("launcher.cli.completion", "Print a completion script for bash or zsh."),
    "version": ("launcher.cli.version", "Versions of ernie-deploy and of the engines."),
}
"""Verb to its module (which holds a click command called `command`) and its summary."""


class _Verbs(click.Group):
    """A group whose commands are imported when used; summaries come from `VERBS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(VERBS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from launcher.cli.nearest import ALIASES, no_such_verb

        args = [ALIASES.get(args[0], args[0]), *args[1:]] if args else args
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(no_such_verb(args[0], VERBS))
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    epilog=examples(
        "up profiles/ernie-tiny-cpu.yaml", "status", "smoke ernie-tiny-cpu", arguments=TARGET
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name=PROGRAM)
def group() -> None:
    """Launch, watch, prove and stop ERNIE-4.5 model servers.

    Exit codes: 0 done, 1 negative verdict, 2 usage or profile, 3 precondition, 4 did not start,
    5 deadline, 6 was ready and died, 70 a defect of ours, 130 interrupted, 143 terminated.
    """


def invoke(argv: list[str]) -> int:
    """Run the command line and return its exit code.

    Raises:
        click.exceptions.Exit: `--help` or `--version` has answered.
        click.UsageError: the command line is wrong.
    """
    prepare_streams()
    if os.environ.get(COMPLETION):
        group.main(args=argv, prog_name=PROGRAM)
    # Not by `group.main`: it has answers of its own to an interrupt and to a closed pipe.
    with group.make_context(PROGRAM, list(argv), obj=argv) as context:
        code = group.invoke(context)
    return code if isinstance(code, int) else 0

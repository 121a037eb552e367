"""`ernie-deploy diagnose TARGET | --logs DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import EngineName
from launcher.cli.targets import readable_instance, target_service
from launcher.cli.verb import json_option, verb
from launcher.errors import ExitCode, PreconditionError, UsageError
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.diagnose.diagnosis import LogDiagnosis


@click.command(
    "diagnose",
    epilog=examples(
        "diagnose ernie-tiny-cpu",
        "diagnose --logs /var/log/fastdeploy --engine fastdeploy",
        arguments=TARGET,
    ),
)
@click.argument("target", shell_complete=completing.targets, required=False)
@click.option("--logs", "folder", metavar="DIR", help="Logs of any server, a folder or a file.")
@click.option(
    "--engine", type=EngineName(), help="With --logs: whose logs they are (default: any)."
)
@click.option("--exit-code", type=int, help="With --logs: the server's exit code, if known.")
@click.option(
    "--ready", is_flag=True, help="With --logs: the server had been ready when it failed."
)
@json_option
@verb
def command(
    target: str | None,
    folder: str | None,
    engine: str | None,
    exit_code: int | None,
    ready: bool,
) -> Result[LogDiagnosis]:
    """Find the first cause in the logs of TARGET, or of a server started outside ernie-deploy.

    Of TARGET its state comes first: what a ready server answers to GET /health and to a short
    completion, a killed keeper, who stopped it, what it was given up for. Exit code 0 when nothing
    is wrong, 1 when a cause or an error was found or it is unhealthy, has failed, died or is lost,
    3 when no log was found to judge. Refused requests are not the fault of a server that answers.
    Of a service the front door or the replica that is why it does not work; where none runs, the
    instance by which its last change failed.
    """
    if (target is None) == (folder is None):
        raise UsageError.of(
            "usage",
            "name an instance (or its profile), or give --logs DIR",
            remedy="see `ernie-deploy diagnose --help`",
        )
    if folder is not None:
        return _of_folder(Path(folder), engine, exit_code, ready)
    if engine or exit_code is not None or ready:
        raise UsageError.of("usage", "--engine, --exit-code and --ready go with --logs DIR")
    from launcher.instance.diagnosis import diagnose_instance

    service = target_service(target or "")
    if service is not None:
        from launcher.service.diagnosis import diagnose_service

        return diagnose_service(service)
    return diagnose_instance(readable_instance(target or ""))


def _of_folder(
    folder: Path, engine: str | None, exit_code: int | None, ready: bool
) -> Result[LogDiagnosis]:
    from launcher.diagnose import of_folder, recognised
    from launcher.diagnose.diagnosis import LogDiagnosis

    if not folder.exists():
        raise UsageError.of("no-logs", f"there is no {folder}", "--logs")
    state = "ready" if ready else "loading"
    diagnosis = of_folder(folder, engine, exit_code=exit_code, state=state)
    if not diagnosis.files:
        reasons = "; ".join(diagnosis.notes) or "it holds no log"
        raise PreconditionError.of("no-logs", f"nothing to read in {folder}: {reasons}", "--logs")
    if not diagnosis.conclusive and not recognised(folder):
        raise PreconditionError.of(
            "no-logs",
            f"{folder} is not recognised as logs: none of the {diagnosis.files} file(s) read has a"
            " line in a form that servers' logs have",
            "--logs",
            "name the folder that FD_LOG_DIR had, or the file with the server's output",
        )
    code = ExitCode.NEGATIVE if diagnosis.conclusive else ExitCode.DONE
    return Result("diagnose", LogDiagnosis(diagnosis, str(folder)), None, code)

"""``python -m fastdeploy.entrypoints.openai.api_server``: the front end of the twin.

``main`` returns, with exit code 0, when the engine does not start: api_server.py:778.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys

from fastdeploy._twin import args as command_line
from fastdeploy._twin import (
    checks,
    clock,
    gunicorn,
    logs,
    ports,
    prometheus,
    registration,
    release,
    say,
)
from fastdeploy._twin.engine import Engine
from fastdeploy._twin.faults import declare, fault, strike


def front_dies(phase: str) -> None:
    dies = fault("front-dies")
    if dies and dies["phase"] == phase:
        clock.pause(float(dies["after"]))
        strike()
        os.kill(os.getpid(), signal.SIGKILL)


def spoken(stage: str) -> None:
    code = say.front(stage)
    if code is not None:
        sys.exit(code)


def noise() -> None:
    if fault("noise"):
        logs.console(
            "Error extracting sub services: [Errno 3] No such process, Traceback (most recent call "
            "last):\nProcessLookupError: [Errno 3] No such process",
            "engine.py",
            440,
            "ERROR",
        )
        logs.stderr("UserWarning: No ccache found.\n")


def start() -> argparse.Namespace:
    """Everything that happens while the module is imported."""
    clock.begin()
    declare()
    logs.open_folder(logs.SERVER_LOGGERS)
    extra = fault("late-start")
    clock.until(3 + (float(extra["seconds"]) if extra and extra["phase"] == "import" else 0))
    spoken("import")
    args = command_line.make_parser().parse_args()
    noise()
    if release.at_least("2.3"):
        logs.console(f"Number of api-server workers: {args.workers}.", "api_server.py", 86)
    front_dies("import")
    return args


def main() -> int:
    args = start()
    clock.until(4)
    config = checks.Config(args)
    config.find_model()
    logs.log(
        "api_server",
        f"FastDeploy LLM API server starting... {os.getpid()}, port: {args.port}",
        "api_server.py",
        121,
    )
    spoken("config")
    if not release.at_least("2.1"):
        ports.check(args.host, args.port, "port")
    config.choose_ports()
    clock.until(5)
    config.validate()
    engine = Engine(config)
    atexit.register(engine.exit)
    if not engine.start():
        logs.log(
            "api_server",
            "Failed to initialize FastDeploy LLM engine, service exit now!"
            "Please check the log file for more details.",
            "api_server.py",
            138,
            "ERROR",
        )
        return 0
    logs.log("api_server", "FastDeploy LLM engine initialized!\n", "api_server.py", 741)
    return serve(config, engine)


def serve(config: checks.Config, engine: Engine) -> int:
    """M, the printed addresses, the monitor, then P: each port is checked only now."""
    args = config.args
    metrics_port = args.port if config.metrics_port is None else config.metrics_port
    if config.metrics_port is not None:
        ports.check(args.host, config.metrics_port, "metrics_port")
        prometheus.before_metrics()
        engine.serve_metrics(config.metrics_port)
        clock.pause(1)
    address = f"http://{args.host}"
    for command in (
        f"metrics service at {address}:{metrics_port}/metrics",
        f"chat completion service at {address}:{args.port}/v1/chat/completions",
        f"completion service at {address}:{args.port}/v1/completions",
    ):
        logs.console(f"Launching {command}", "api_server.py", 745)
    engine.watch_worker()
    clock.pause(1)
    engine.exit_delay = 12
    try:
        if args.controller_port >= 0:
            ports.check(args.host, args.controller_port, "controller_port")
        ports.check(args.host, args.port, "port")
    except Exception:
        engine.port_taken()
        raise
    logs.log(
        "api_server", f"launch Fastdeploy api server... port: {args.port}", "api_server.py", 595
    )
    logs.log("api_server", f"args: {args.__dict__}", "api_server.py", 596)
    registration.begin(config)
    return gunicorn.Arbiter(config, engine).run()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m fastdeploy.router.launch``: the Python router of 2.4 and later."""

from __future__ import annotations

import argparse
import sys

from fastdeploy._twin import clock, logs, release, router


def main() -> int:
    clock.begin()
    parser = argparse.ArgumentParser(prog="launch.py")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--splitwise", action="store_true")
    parser.add_argument("--request-timeout-secs", type=int, default=1800)
    if release.at_least("2.6"):
        parser.add_argument("--preempt-retry-count", type=int, default=3)
        parser.add_argument("--preempt-retry-exclude-decode", action="store_true")
    args = parser.parse_args()
    logs.open_folder(("router",))
    print(f"Starting router with args: {args}", flush=True)
    return router.PythonRouter(args.host, args.port, args.splitwise).serve()


if __name__ == "__main__":
    sys.exit(main())

"""The release's variables, read when they are asked for, as envs.py does."""

import os
from collections.abc import Callable
from typing import Any

from fastdeploy._twin import release


def _reader(name: str, default: Any) -> Callable[[], Any]:
    return lambda: os.getenv(name, default)


environment_variables = {
    row["name"]: _reader(row["name"], row["default"]) for row in release.table("environment")
}

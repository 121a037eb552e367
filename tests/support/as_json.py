"""What a test looks into as a user's program does: plain JSON."""

import json
from typing import Any

from launcher.codec import encode


def as_json(value: object) -> Any:  # of any shape: a test indexes it, and fails where it is wrong
    """The value as JSON, once through its text."""
    return json.loads(json.dumps(encode(value)))

"""Where each value of a started profile came from: kept beside the instance, for `report`.

`profile.json` has every value put in. After a `restart NAME` it is the file that values come from;
the places of the first start stay the answer then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from launcher import files
from launcher.codec import decode, encode
from launcher.instance.store import InstanceDir
from launcher.json_values import object_at
from launcher.profile.model import Origin, Profile

FILE = "origins.json"


def origins_text(instance: InstanceDir, profile: Profile) -> str:
    """The file for a start of `profile` as this instance."""
    own = str(instance.folder / "profile.json")
    before = read_origins(instance)
    origins = {
        key: before.get(key, origin) if origin.source == own else origin
        for key, origin in profile.origins.items()
    }
    return json.dumps(encode(origins))


def read_origins(instance: InstanceDir) -> Mapping[str, Origin]:
    """The origins by the path of the key; empty for an instance of an older release."""
    try:
        document = object_at(json.loads(files.read_text(instance.folder / FILE)))
        return {
            key: decode(Origin, value, f"{FILE}.{key}", tolerant=True)
            for key, value in document.items()
        }
    except (OSError, ValueError, RecursionError):
        return {}

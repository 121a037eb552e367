"""What tests read by index out of decoded JSON and YAML.

A test expects one shape and fails where it is another one; `launcher.json_values` is for code that
must go on then.
"""

from typing import Any, TypeAlias

JsonDict: TypeAlias = dict[str, Any]

"""What a profile asks of FastDeploy, whether at its top or in `engine-args`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.engines.fastdeploy.catalogue import environment_default
from launcher.engines.fastdeploy.neutral import KEYS
from launcher.engines.fastdeploy.release_data import at_least, nearest_line
from launcher.engines.options import canonical
from launcher.json_values import JsonObject, JsonValue, is_list
from launcher.profile.model import Profile


@dataclass(frozen=True)
class Requested:
    """A profile read with FastDeploy's option names."""

    profile: Profile

    def value(self, option: str) -> JsonValue:
        """The value of an option as the profile gives it, None where it does not."""
        return KEYS.requested(self.profile, option)

    def key(self, option: str) -> str:
        """The profile's key path that gives the option (or would)."""
        for key in self.profile.engine_args:
            if canonical(key) == option:
                return f"engine-args.{key}"
        return KEYS.key_of(option) or f"engine-args.{option}"

    def integer(self, option: str, default: int | None = None) -> int | None:
        """The option as a whole number; `default` where it is absent or no number."""
        value = self.value(option)
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return default
        try:
            return int(value)
        except ValueError:
            return default

    def number(self, option: str) -> float | None:
        """The option as a number, None where it is absent or none."""
        value = self.value(option)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None

    def mapping(self, option: str) -> JsonObject | None:
        """A JSON option as a mapping, None where it is absent or none."""
        value = self.value(option)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        return value if isinstance(value, Mapping) else None

    def items(self, option: str) -> list[str]:
        """A comma list as its items."""
        value = self.value(option)
        if value is None:
            return []
        if is_list(value):
            return [str(item) for item in value]
        return [item.strip() for item in str(value).split(",")]

    def variable(self, name: str, line: str) -> str | None:
        """What FastDeploy will read from variable `name`: the profile's value or its default."""
        return self.profile.env.get(name, environment_default(name, line))

    @property
    def tensor_parallel(self) -> int:
        """Tensor-parallel size."""
        return self.integer("tensor-parallel-size", 1) or 1

    @property
    def data_parallel(self) -> int:
        """Data-parallel size over all nodes."""
        return self.integer("data-parallel-size", 1) or 1

    @property
    def nodes(self) -> int:
        """Nodes that serve together."""
        addresses = self.items("ips") or self.items("pod-ips")
        return max(len(addresses), self.integer("nnode", 1) or 1, 1)

    @property
    def local_ranks(self) -> int:
        """Workers on this machine, one for each GPU."""
        return max(1, self.tensor_parallel * self.data_parallel // self.nodes)

    @property
    def served_name(self) -> str | None:
        """The model's name for clients, None where FastDeploy takes any."""
        name = self.value("served-model-name")
        return str(name) if name else None

    @property
    def role(self) -> str:
        """`mixed`, `prefill` or `decode`."""
        return str(self.value("splitwise-role") or "mixed")


def most_sequences(line: str) -> int:
    """The largest max-num-seqs; of a line that is not catalogued, that of its neighbour.

    check() of fastdeploy/config.py (2.0, 2.1: fastdeploy/engine/config.py).
    """
    return 512 if at_least(line, "2.6") else 256


def batched_tokens(requested: Requested, line: str) -> int:
    """`max_num_batched_tokens` as the release resolves it, given or not.

    create_engine_config in fastdeploy/engine/args_utils.py of each release.
    """
    explicit = requested.integer("max-num-batched-tokens")
    if explicit is not None:
        return explicit
    length = requested.integer("max-model-len", 2048) or 2048
    line, real_line = nearest_line(line), line
    chunked = bool(requested.value("enable-chunked-prefill")) or line == "2.2"
    v1 = v1_scheduler(requested, real_line)
    if line in ("2.0", "2.1", "2.2"):
        if chunked:
            return 2048
        return 8192 if v1 else length
    if v1:
        unchunked = requested.variable("FD_DISABLE_CHUNKED_PREFILL", real_line) == "1"
        return length if unchunked and at_least(line, "2.6") else 8192
    return 2048 if chunked else length


def v1_scheduler(requested: Requested, line: str) -> bool:
    """Whether the V1 KV-cache scheduler runs: its default moved in 2.3, some settings force it off.

    EngineArgs.__post_init__ in fastdeploy/engine/args_utils.py.
    """
    if requested.variable("ENABLE_V1_KVCACHE_SCHEDULER", line) in (None, "0", ""):
        return False
    if nearest_line(line) == "2.3":
        if requested.role != "mixed" and requested.value("cache-transfer-protocol") != "rdma":
            return False
        return requested.value("guided-decoding-backend") in (None, "off")
    return True

"""Combinations that a release rejects late: after the model was looked up, or in the worker.

`check()` of fastdeploy/config.py (2.0 and 2.1: fastdeploy/engine/config.py) and
`EngineArgs.__post_init__` of fastdeploy/engine/args_utils.py, at the commits of the flag files.
"""

from __future__ import annotations

from launcher.engines.common import problem
from launcher.engines.fastdeploy.catalogue import environment_default, speculative_methods
from launcher.engines.fastdeploy.release_data import LINES, at_least, is_catalogued, nearest_line
from launcher.engines.fastdeploy.requested import (
    Requested,
    batched_tokens,
    most_sequences,
    v1_scheduler,
)
from launcher.errors import Problem
from launcher.profile.model import Profile

CODE = "impossible-combination"


def check(profile: Profile, line: str) -> list[Problem]:
    """Every combination of the profile that release `line` would refuse."""
    requested = Requested(profile)
    return [
        *_ranges(profile, requested, line),
        *_batching(profile, requested, line),
        *_gpus(profile, requested),
        *_prefills(profile, requested, line),
        *_roles(profile, requested, line),
        *_schedulers(profile, requested, line),
        *_exclusions(profile, requested, line),
    ]


def _ranges(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    problems = []
    bounds: dict[str, tuple[int, int | None]] = {
        "max-num-seqs": (1, most_sequences(line) if is_catalogued(line) else None),
        "max-model-len": (16, None),
        "tensor-parallel-size": (1, None),
        "data-parallel-size": (1, None),
        "block-size": (1, None),
        "workers": (1, None),
        "max-concurrency": (1, None),
        "max-num-partial-prefills": (1, None),
        "max-long-partial-prefills": (1, None),
    }
    for option, (least, most) in bounds.items():
        value = requested.integer(option)
        if value is None or (value >= least and (most is None or value <= most)):
            continue
        # Releases differ in the most only: what is too small is wrong in the same words in all.
        limit = f"at least {least}" if most is None or value < least else f"{least} to {most}"
        problems.append(
            problem(profile, requested.key(option), "out-of-range",
                    f"{option} is {value}; FastDeploy takes {limit}")
        )  # fmt: skip
    for option in ("gpu-memory-utilization", "kv-cache-ratio"):
        share = requested.number(option)
        top_open = option == "gpu-memory-utilization"
        if share is None or (0 < share < 1) or (share == 1 and not top_open):
            continue
        problems.append(
            problem(profile, requested.key(option), "out-of-range",
                    f"{option} is {share:g}; it is a fraction above 0 and below 1")
        )  # fmt: skip
    return problems


def _batching(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    seqs = requested.integer("max-num-seqs", 8) or 8
    length = requested.integer("max-model-len", 2048) or 2048
    tokens = batched_tokens(requested, line)
    explicit = requested.integer("max-num-batched-tokens") is not None
    name = "max-num-batched-tokens"
    description = f"{name} is {tokens}" + ("" if explicit else f" (the default of {line})")
    if explicit:
        key = requested.key(name)
    else:
        key = requested.key("max-num-seqs" if tokens < seqs else "max-model-len")
    problems = []
    each = _tokens_per_sequence(requested, line)
    if tokens < seqs * each:
        product = f"{seqs} x {each} tokens of each step" if each > 1 else str(seqs)
        problems.append(
            problem(profile, key, CODE, f"{description}, less than max-num-seqs {product}",
                    f"raise {name} to {seqs * each} or more")
        )  # fmt: skip
    if tokens > length * seqs:
        problems.append(
            problem(profile, key, CODE,
                    f"{description}, more than max-model-len x max-num-seqs = {length * seqs}",
                    f"set `engine-args: {{{name}: {min(length * seqs, 2048)}}}`")
        )  # fmt: skip
    if _chunked(requested, line):
        block = requested.integer("block-size", 64) or 64
        if at_least(line, "2.2") and tokens < block:
            problems.append(
                problem(profile, key, CODE, f"{description}, less than block-size {block}",
                        f"raise {name} to {block} or more")
            )  # fmt: skip
    elif not v1_scheduler(requested, line) and tokens < length:
        problems.append(
            problem(profile, key, CODE,
                    f"{description}, less than max-model-len {length}, and chunked prefill is off",
                    f"raise {name} to {length}, or set `engine-args: "
                    "{enable-chunked-prefill: true}`")
        )  # fmt: skip
    return problems


def _tokens_per_sequence(requested: Requested, line: str) -> int:
    """Tokens of a sequence in one step: 2.6 counts those that speculative decoding guesses."""
    speculative = requested.mapping("speculative-config")
    if not at_least(line, "2.6") or not speculative or not speculative.get("method"):
        return 1
    guessed = speculative.get("num_speculative_tokens", 1)
    return 1 + guessed if isinstance(guessed, int) and guessed > 0 else 1


def _chunked(requested: Requested, line: str) -> bool:
    if not at_least(line, "2.2"):
        return bool(requested.value("enable-chunked-prefill"))
    if nearest_line(line) == "2.2" or requested.value("enable-chunked-prefill"):
        return True
    return (
        requested.role == "mixed" and requested.variable("FD_DISABLE_CHUNKED_PREFILL", line) != "1"
    )


def _gpus(profile: Profile, requested: Requested) -> list[Problem]:
    if profile.gpus is None:
        return []
    problems = []
    wrong = [g for g in profile.gpus if not g.isdigit()]
    if wrong:
        problems.append(
            problem(profile, "gpus", "wrong-value",
                    f"FastDeploy takes GPUs by number only, not {', '.join(wrong)}",
                    "write the numbers that `nvidia-smi -L` shows")
        )  # fmt: skip
    if len(set(profile.gpus)) != len(profile.gpus):
        problems.append(problem(profile, "gpus", "wrong-value", "a GPU is named twice"))
    if len(profile.gpus) != requested.local_ranks:
        product = f"tensor-parallel-size {requested.tensor_parallel}"
        if requested.data_parallel > 1:
            product += f" x data-parallel-size {requested.data_parallel}"
        if requested.nodes > 1:
            product += f" on {requested.nodes} nodes"
        problems.append(
            problem(profile, "gpus", CODE,
                    f"`gpus` names {len(profile.gpus)}, but {product} needs exactly "
                    f"{requested.local_ranks} here",
                    "name one GPU for each rank, or change tensor-parallel-size")
        )  # fmt: skip
    return problems


def _prefills(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    partial = requested.integer("max-num-partial-prefills", 1) or 1
    long = requested.integer("max-long-partial-prefills", 1) or 1
    problems = []
    if long > partial:
        problems.append(
            problem(profile, requested.key("max-long-partial-prefills"), CODE,
                    f"max-long-partial-prefills {long} is more than max-num-partial-prefills "
                    f"{partial}")
        )  # fmt: skip
    if partial > 1:
        length = requested.integer("max-model-len", 2048) or 2048
        if not _chunked(requested, line):
            problems.append(
                problem(profile, requested.key("max-num-partial-prefills"), CODE,
                        "max-num-partial-prefills above 1 needs chunked prefill",
                        "set `engine-args: {enable-chunked-prefill: true}`")
            )  # fmt: skip
        if (requested.integer("long-prefill-token-threshold", 0) or 0) >= length:
            problems.append(
                problem(profile, requested.key("long-prefill-token-threshold"), CODE,
                        f"long-prefill-token-threshold must be less than max-model-len {length}")
            )  # fmt: skip
    return problems


def _roles(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    if requested.role == "mixed" or not at_least(line, "2.4"):
        return []
    if at_least(line, "2.6"):
        # A missing router is only a warning there; the splitwise scheduler is refused.
        if requested.value("scheduler-name") != "splitwise":
            return []
        return [
            problem(profile, requested.key("scheduler-name"), CODE,
                    f"splitwise-role {requested.role} cannot use scheduler-name splitwise in "
                    f"{line}", "set `engine-args: {router: HOST:PORT}` and remove scheduler-name")
        ]  # fmt: skip
    if (requested.value("scheduler-name") or "local") == "local" and requested.value(
        "router"
    ) is None:
        return [
            problem(
                profile,
                requested.key("splitwise-role"),
                CODE,
                f"splitwise-role {requested.role} with the local scheduler needs a router in "
                f"{line}",
                "set `engine-args: {router: HOST:PORT}`, or scheduler-name splitwise",
            )
        ]
    return []


def _schedulers(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    """2.4 with RDMA needs its ports; 2.6 has no other scheduler than V1 on GPUs."""
    problems = []
    if at_least(line, "2.6") and not v1_scheduler(requested, line):
        problems.append(
            problem(profile, "env.ENABLE_V1_KVCACHE_SCHEDULER", CODE,
                    f"FastDeploy {line} serves GPUs with the V1 scheduler only: the first request "
                    "would end the worker", "remove ENABLE_V1_KVCACHE_SCHEDULER from `env`")
        )  # fmt: skip
    adapter = profile.env.get("FD_ENABLE_INTERNAL_ADAPTER") not in (None, "", "0")
    if adapter and at_least(line, "2.5"):
        for name in ("FD_ZMQ_RECV_REQUEST_SERVER_PORT", "FD_ZMQ_SEND_RESPONSE_SERVER_PORT"):
            variables = [n for n in (name, f"{name}S") if profile.env.get(n)]
            if not variables and environment_default(name, line) in (None, ""):
                problems.append(
                    problem(profile, "env.FD_ENABLE_INTERNAL_ADAPTER", CODE,
                            f"FD_ENABLE_INTERNAL_ADAPTER needs {name} from 2.5 on, after the load "
                            "the server would end", f"set `env: {{{name}: ...}}`")
                )  # fmt: skip
    nodes, groups = requested.nodes, requested.data_parallel
    if at_least(line, "2.4") and groups > 1 and groups % nodes:
        problems.append(
            problem(profile, requested.key("data-parallel-size"), CODE,
                    f"data-parallel-size {groups} cannot be shared evenly by {nodes} nodes")
        )  # fmt: skip
    return problems


def _exclusions(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    problems = []
    speculative = requested.mapping("speculative-config")
    logprob = requested.value("enable-logprob") is True
    if speculative is not None:
        method = speculative.get("method")
        methods = speculative_methods(line)
        if method is not None and methods is not None and method not in methods:
            problems.append(
                problem(profile, requested.key("speculative-config"), "wrong-value",
                        f"speculative-config: method {method!r} is not one of "
                        f"{', '.join(methods)}")
            )  # fmt: skip
        guided = requested.value("guided-decoding-backend")
        if at_least(line, "2.3") and guided not in (None, "off") and method is not None:
            problems.append(
                problem(profile, requested.key("guided-decoding-backend"), CODE,
                        "guided decoding and speculative decoding exclude each other")
            )  # fmt: skip
    if logprob and nearest_line(line) in ("2.1", "2.2"):
        for option in ("speculative-config", "enable-expert-parallel"):
            if requested.value(option):
                problems.append(
                    problem(profile, requested.key(option), CODE,
                            f"enable-logprob and {option} exclude each other in {line}")
                )  # fmt: skip
    if requested.value("kvcache-storage-backend") and (
        requested.value("enable-prefix-caching") is False or not v1_scheduler(requested, line)
    ):
        problems.append(
            problem(profile, requested.key("kvcache-storage-backend"), CODE,
                    "kvcache-storage-backend needs prefix caching and the V1 scheduler")
        )  # fmt: skip
    if (
        nearest_line(line) == "2.2"
        and requested.value("enable-expert-parallel")
        and requested.tensor_parallel > 1
    ):
        problems.append(
            problem(profile, requested.key("enable-expert-parallel"), CODE,
                    "2.2 cannot run tensor and expert parallel at once",
                    f"it can from {LINES[LINES.index('2.2') + 1]}")
        )  # fmt: skip
    if v1_scheduler(requested, line) and profile.env.get("FD_DISABLED_RECOVER") == "1":
        problems.append(
            problem(profile, "env.FD_DISABLED_RECOVER", CODE,
                    "FD_DISABLED_RECOVER=1 clashes with the V1 scheduler",
                    "set ENABLE_V1_KVCACHE_SCHEDULER to \"0\" too, or remove it")
        )  # fmt: skip
    return problems

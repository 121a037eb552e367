"""Combinations that a release rejects late: after the model was looked up, or in the worker.

`check()` of fastdeploy/config.py (2.0 and 2.1: fastdeploy/engine/config.py) and
`EngineArgs.__post_init__` of fastdeploy/engine/args_utils.py, at the commits of the flag files.
"""

from __future__ import annotations

from launcher.engines.common import problem
from launcher.engines.fastdeploy.catalogue import LINES, speculative_methods
from launcher.engines.fastdeploy.requested import Requested, batched_tokens, v1_scheduler
from launcher.errors import Problem
from launcher.profile.model import Profile

CODE = "impossible-combination"


def check(profile: Profile, line: str) -> list[Problem]:
    """Every combination of the profile that release `line` would refuse."""
    requested = Requested(profile)
    return [
        *_ranges(profile, requested),
        *_batching(profile, requested, line),
        *_gpus(profile, requested),
        *_prefills(profile, requested, line),
        *_roles(profile, requested, line),
        *_exclusions(profile, requested, line),
    ]


def _ranges(profile: Profile, requested: Requested) -> list[Problem]:
    problems = []
    bounds: dict[str, tuple[int, int | None]] = {
        "max-num-seqs": (1, 256),
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
        limit = f"at least {least}" if most is None else f"{least} to {most}"
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
    if tokens < seqs:
        problems.append(
            problem(profile, key, CODE, f"{description}, less than max-num-seqs {seqs}",
                    f"raise {name} to {seqs} or more")
        )  # fmt: skip
    if tokens > length * seqs:
        problems.append(
            problem(profile, key, CODE,
                    f"{description}, more than max-model-len x max-num-seqs = {length * seqs}",
                    f"set `engine-args: {{{name}: {min(length * seqs, 2048)}}}`")
        )  # fmt: skip
    if _chunked(requested, line):
        block = requested.integer("block-size", 64) or 64
        if line != "2.0" and line != "2.1" and tokens < block:
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


def _chunked(requested: Requested, line: str) -> bool:
    if line in ("2.0", "2.1"):
        return bool(requested.value("enable-chunked-prefill"))
    if line == "2.2" or requested.value("enable-chunked-prefill"):
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
    if requested.role == "mixed" or line != "2.4":
        return []
    if (requested.value("scheduler-name") or "local") == "local" and requested.value(
        "router"
    ) is None:
        return [
            problem(
                profile,
                requested.key("splitwise-role"),
                CODE,
                f"splitwise-role {requested.role} with the local scheduler needs a router in 2.4",
                "set `engine-args: {router: HOST:PORT}`, or scheduler-name splitwise",
            )
        ]
    return []


def _exclusions(profile: Profile, requested: Requested, line: str) -> list[Problem]:
    problems = []
    speculative = requested.mapping("speculative-config")
    logprob = requested.value("enable-logprob") is True
    if speculative is not None:
        method = speculative.get("method")
        if method is not None and method not in speculative_methods():
            problems.append(
                problem(profile, requested.key("speculative-config"), "wrong-value",
                        f"speculative-config: method {method!r} is not one of "
                        f"{', '.join(speculative_methods())}")
            )  # fmt: skip
        guided = requested.value("guided-decoding-backend")
        if line in ("2.3", "2.4") and guided not in (None, "off") and method is not None:
            problems.append(
                problem(profile, requested.key("guided-decoding-backend"), CODE,
                        "guided decoding and speculative decoding exclude each other")
            )  # fmt: skip
    if logprob and line in ("2.1", "2.2"):
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
        line == "2.2"
        and requested.value("enable-expert-parallel")
        and requested.tensor_parallel > 1
    ):
        problems.append(
            problem(profile, requested.key("enable-expert-parallel"), CODE,
                    "2.2 cannot run tensor and expert parallel at once",
                    f"it can from {LINES[LINES.index(line) + 1]}")
        )  # fmt: skip
    if v1_scheduler(requested, line) and profile.env.get("FD_DISABLED_RECOVER") == "1":
        problems.append(
            problem(profile, "env.FD_DISABLED_RECOVER", CODE,
                    "FD_DISABLED_RECOVER=1 clashes with the V1 scheduler",
                    "set ENABLE_V1_KVCACHE_SCHEDULER to \"0\" too, or remove it")
        )  # fmt: skip
    return problems

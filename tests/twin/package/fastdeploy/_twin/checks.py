"""What the front end checks before it starts a worker, in FastDeploy's order and words."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from fastdeploy._twin import logs, ports, queues, release
from fastdeploy._twin.faults import fault
from fastdeploy._twin.tokens import Tokens, tokenizer_folder

#: Registered names per release, those of 2.3 for all later ones; from 2.3 on an underscore in the
#: given name reads as a dash.
REASONING = {
    "2.0": {"ernie-45-vl", "qwen3"},
    "2.1": {"ernie-45-vl", "ernie_x1", "qwen3"},
    "2.2": {"ernie-45-vl", "ernie_x1", "qwen3"},
    "2.3": {"ernie-45-vl", "ernie-45-vl-thinking", "ernie-x1", "qwen3"},
}
TOOL = {
    "2.0": set[str](),
    "2.1": {"ernie_x1"},
    "2.2": {"ernie_x1"},
    "2.3": {"ernie-45-vl-thinking", "ernie-x1"},
}
TAGS = {
    "ernie-x1": ("<think>", "</think>", "<response>", "</response>", "<tool_call>", "</tool_call>"),
    "ernie-45-vl-thinking": ("<think>", "</think>", "<tool_call>", "</tool_call>"),
    "ernie-45-vl": ("<think>", "</think>"),
    "qwen3": ("<think>", "</think>"),
}


def names(allowed: dict[str, set[str]]) -> set[str]:
    """The parser names of the installed release."""
    return allowed.get(release.RELEASE, allowed[max(allowed)])


ARCHITECTURES = ("Ernie", "Qwen", "Deepseek", "PaddleOCR", "Llama", "GptOss", "Glm")
CONFIGURATION = {"architectures": ["Ernie4_5_MoeForCausalLM"], "dtype": "bfloat16"}


class Config:
    """The arguments, and what FastDeploy makes of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.model: str = args.model
        self.described: dict[str, Any] = dict(CONFIGURATION)
        differs = fault("config-differs") or {}
        if differs and not any(value for key, value in differs.items() if key != "fault"):
            differs["max_model_len"] = "2048"
        self.max_model_len = int(differs.get("max_model_len") or args.max_model_len)
        self.block_size: int = args.block_size
        self.tensor_parallel_size: int = args.tensor_parallel_size
        self.max_num_batched_tokens: int = args.max_num_batched_tokens or 8192
        override = getattr(args, "num_gpu_blocks_override", None)
        self.blocks_override: int | None = override
        self.gpu_blocks = 0
        metrics_port = args.metrics_port
        is_same_port = metrics_port is None or (
            metrics_port == args.port and release.at_least("2.4")
        )
        self.metrics_port: int | None = None if is_same_port else metrics_port
        self.queue_port = self.cache_port = self.comm_port = 0
        self._pid = os.getpid()
        self.tokens: Tokens | None = None
        self.devices = (
            os.environ.get("CUDA_VISIBLE_DEVICES")
            or ",".join(map(str, range(self.tensor_parallel_size)))
        )  # fmt: skip

    @property
    def wants_cache_queue(self) -> bool:
        """common_engine.py, start_worker_queue_service: C needs prefix caching or a role."""
        role = getattr(self.args, "splitwise_role", None) or "mixed"
        caching = bool(getattr(self.args, "enable_prefix_caching", False))
        speculative = getattr(self.args, "speculative_config", None) is not None
        if speculative and not release.at_least("2.4"):
            caching = False  # args_utils.py
        return caching or role != "mixed"

    @property
    def segments(self) -> int:
        """The number in the names of signals: Q, in 2.0 and 2.1 the pid of the api_server."""
        return self.queue_port if release.at_least("2.2") else self._pid

    @property
    def link(self) -> int:
        """The number in the names of the sockets to the engine: P, in 2.0 and 2.1 the pid."""
        port: int = self.args.port
        return port if release.at_least("2.2") else self._pid

    def find_model(self) -> None:
        """utils.py:754-777 tries a download before it says that a folder is missing."""
        name = self.model
        if os.path.isdir(name):
            self._read_configuration(name)
        elif name.startswith(("/", ".", "~")) or name.count("/") != 1:
            revision = getattr(self.args, "revision", None) or "master"
            raise Exception(
                f"The {revision} of {name} is not exist. Please check the model name or revision."
            )

    def _read_configuration(self, folder: str) -> None:
        path = os.path.join(folder, "config.json")
        if not os.path.exists(path):
            raise FileNotFoundError(
                "please make sure one of the ['config.json', 'model_config.json'] under the dir "
                f"{folder}"
            )
        with open(path, encoding="utf-8") as stream:
            self.described = json.load(stream)
        names = self.described.get("architectures") or [""]
        if not names[0].startswith(ARCHITECTURES):
            raise ValueError("This model does not support '--runner generate.")
        if not release.at_least("2.3") and "model_type" not in self.described:
            raise ValueError(
                f"Unrecognized model in {folder}. Should have a `model_type` key in its config.json"
            )
        if release.at_least("2.2") and not {"dtype", "torch_dtype"} & set(self.described):
            raise ValueError(
                "Unknown model format. Please ensure your config.json contains 'torch_dtype' or "
                "'dtype'"
            )

    def choose_ports(self) -> None:
        """args_utils.py:560-640: Q and C (and the others) are chosen or checked before the load.

        2.4 checks Q alone, in other words, and leaves what is omitted to the kernel's choice.
        """
        if release.RELEASE == "2.4":
            self._ports_of_2_4()
            return
        self.queue_port = self._port("engine_worker_queue_port")[0]
        self.cache_port = self._port("cache_queue_port")[0]
        self._port("rdma_comm_ports", self.tensor_parallel_size)
        comm = self._port("pd_comm_port")[0]
        if getattr(self.args, "pd_comm_port", None) and not release.at_least("2.4"):
            self.comm_port = comm  # splitwise_connector.py binds it whatever the role

    def _ports_of_2_4(self) -> None:
        values = str((self.args.engine_worker_queue_port or ["0"])[0])
        assert ports.is_available("0.0.0.0", int(values)), (
            f"The parameter `engine_worker_queue_port`:['{values}'] is already in use."
        )
        cache = self.args.cache_queue_port or [0]
        self.queue_port = int(values) or ports.find_free(1)[0]
        self.cache_port = int(cache[0] if isinstance(cache, list) else cache)
        self.cache_port = self.cache_port or ports.find_free(1)[0]
        if self.args.pd_comm_port:
            self.comm_port = int(self.args.pd_comm_port[0])

    def _port(self, name: str, count: int = 1) -> list[int]:
        value = getattr(self.args, name, None)
        if isinstance(value, (int, str)):
            value = str(value).split(",")
        chosen = [int(port) for port in value or [] if int(port)]
        if not chosen:
            chosen = ports.find_free(count)
            message = f"is not specified, found available ports for possible use: {chosen}"
            logs.console(f"Parameter `{name}` {message}", "args_utils.py", 590)
        else:
            logs.console(f"Using `{name}`: {chosen}", "args_utils.py", 603)
        for port in chosen:
            prefix = "Parameter" if release.at_least("2.5") else "The parameter"
            text = f"{prefix} `{name}`:{port} is already in use."
            assert ports.is_available("0.0.0.0", port), text
            assert not queues.is_live(port), text
        return chosen

    def validate(self) -> None:
        """config.py:1395-1930, in that order."""
        args, batched = self.args, self.max_num_batched_tokens
        if args.gpu_memory_utilization > 1:
            raise ValueError(
                f"GPU memory utilization must be less than 1.0. Got {args.gpu_memory_utilization}."
            )
        seats: int = args.max_num_seqs
        _ = self.gpu_blocks / seats  # 0 seats: the same ZeroDivisionError as config.py:1416
        most = 512 if release.at_least("2.6") else 256
        assert seats <= most, (
            f"The parameter `max_num_seqs` is not allowed to exceed {most}, but now it's {seats}."
        )
        nodes = -(-self.tensor_parallel_size // 8)
        assert nodes == len(getattr(args, "ips", None) or ["0"]), f"nnode: {nodes}, but got 1"
        small = f"max_num_batched_tokens: {batched} should be larger than or equal to "
        speculative = getattr(args, "speculative_config", None) or {}
        each = 1 + int(speculative.get("num_speculative_tokens", 0)) if speculative else 1
        if release.at_least("2.6"):
            text = f"{small}max_num_seqs: {seats} * tokens_per_seq: {each}"
            assert batched >= seats * each, text
        assert batched >= seats, f"{small}max_num_seqs: {seats}"
        assert batched >= self.block_size, f"{small}block_size: {self.block_size}"
        assert batched <= seats * max(self.max_model_len, args.max_model_len), (
            f"max_num_batched_tokens: {batched} should be "
            f"{'less than' if release.at_least('2.6') else 'largerthan'} or equal to max_num_seqs: "
            f"{seats} * max_model_len: {args.max_model_len}"
        )
        role = getattr(args, "splitwise_role", "mixed")
        if role not in ("mixed", "prefill", "decode") and not release.at_least("2.4"):
            raise NotImplementedError
        if role != "mixed" and args.scheduler_name == "splitwise" and release.at_least("2.6"):
            raise ValueError(
                "Setting scheduler_name as splitwise is not supported in pd deployment, please use "
                "router as scheduler."
            )
        without_router = not release.at_least("2.6")  # 2.6 only warns
        if (
            without_router
            and role != "mixed"
            and args.scheduler_name == "local"
            and not getattr(args, "router", None)
        ):
            raise ValueError(
                f"When using {role} role and the {args.scheduler_name} scheduler, please provide "
                "--router argument."
            )
        if args.scheduler_name not in ("local", "global", "splitwise", "dp"):
            raise Exception(f"Unknown scheduler type {args.scheduler_name}")
        if self.blocks_override:
            self.set_blocks(self.blocks_override)

    def set_blocks(self, blocks: int) -> None:
        """config.py:1435; earlier releases start and fail at the first long request."""
        self.gpu_blocks = blocks
        needed = -(-self.max_model_len // self.block_size) + 1
        text = (
            f"current device block num: {blocks} should be larger than or equal to {needed}, "
            "please reduce the max_model_len or replace the machine with larger GPU cards"
        )
        if release.RELEASE == "2.4":
            text = (
                f"current block number :{blocks} should be greater than or equal to current model "
                f"len needed minimum block number :{needed}"
            )
        assert blocks >= needed or not release.at_least("2.4"), text

    def open_tokenizer(self) -> None:
        """Tokenizer files and parser names, just before the worker is launched."""
        folder = tokenizer_folder(getattr(self.args, "tokenizer", None) or self.model)
        if folder is None:
            raise AssertionError("All tokenizer files should be in the same directory.")
        self.tokens = Tokens(folder)
        self._parser("reasoning", getattr(self.args, "reasoning_parser", None), REASONING)
        self._parser("tool", getattr(self.args, "tool_call_parser", None), TOOL)

    def _parser(self, kind: str, parser_name: str | None, allowed: dict[str, set[str]]) -> None:
        if parser_name is None:
            return
        name = parser_name.replace("_", "-") if release.at_least("2.3") else parser_name
        if name not in names(allowed):
            raise KeyError(f"{kind} helper: '{parser_name}' not found in {kind}_parsers")
        assert self.tokens is not None
        tags = TAGS[name.replace("_", "-")] if release.at_least("2.5") else ("</think>",)
        missing = [tag for tag in tags if self.tokens.tag(tag) is None]
        if kind == "reasoning" and missing:
            raise RuntimeError(
                f"{name.replace('-', ' ')} reasoning parser could not find the following token ids "
                f"in tokenizer vocabulary: {', '.join(missing)}"
                if release.at_least("2.5")
                else "Could not find think end token id in tokenizer vocabulary"
            )

    @property
    def reasoning(self) -> str | None:
        name = getattr(self.args, "reasoning_parser", None)
        return name.replace("_", "-") if name else None

    @property
    def tool_parser(self) -> str | None:
        name = getattr(self.args, "tool_call_parser", None)
        return name.replace("_", "-") if name else None

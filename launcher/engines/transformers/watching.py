"""Lines of `transformers serve`: phases, failures, noise. Recorded with 5.23 unless noted."""

from __future__ import annotations

from launcher.plan.model import FailureRule, Phase, PhaseRule

PHASES = (
    Phase("import", "import libraries"),
    Phase("load weights", "load weights"),
    Phase("serve", "open the port"),
    Phase("first answer", "first answer"),
)

PHASE_RULES = (
    PhaseRule("load weights", r"\[transformers\] Loading |Loading \S+@"),
    PhaseRule("load weights", r"Loading (?:weights|checkpoint shards):\s+(?P<percent>\d+)%"),
    PhaseRule("serve", r"Started server process"),
    PhaseRule("first answer", r"Uvicorn running on http"),
)

FAILURES = (
    FailureRule(
        "ED-TF-PORT",
        r"\[Errno 98\] error while attempting to bind on address \('(?P<address>[^']+)', "
        r"(?P<port>\d+)",
        "port {port} was taken by another program while the model was loading",
        "find it with `ss -ltnp 'sport = :{port}'`, or use `ports: {api: auto}`",
        retry=True,
        sources=("engine",),
        origin="uvicorn",
    ),
    FailureRule(
        "ED-TF-MODEL",
        r"Repo id must (?:be in the form|use alphanumeric chars).*?: '(?P<model>[^']*)'",
        "the model folder {model} does not exist (the library takes a missing folder for a hub id)",
        "check `model` in the profile",
        sources=("engine",),
        origin="huggingface_hub",
    ),
    FailureRule(
        "ED-TF-CONFIG",
        r"OSError: (?P<model>\S+) does not appear to have a file named (?P<file>\S+?)\.?(?:\s|$)",
        "the model folder {model} has no {file}",
        "copy the whole checkpoint, or check `model` in the profile",
        sources=("engine",),
        origin="transformers",
    ),
    FailureRule(
        "ED-TF-CONFIG-JSON",
        r"OSError: It looks like the config file at '(?P<file>[^']+)' is not a valid JSON file",
        "{file} is not JSON",
        "copy the checkpoint again",
        sources=("engine",),
        origin="transformers",
    ),
    FailureRule(
        "ED-TF-WEIGHTS",
        r"SafetensorError: (?P<what>.+)",
        "a weight file of the checkpoint is damaged: {what}",
        "copy the checkpoint again and compare its checksums",
        sources=("engine",),
        origin="safetensors",
    ),
    FailureRule(
        "ED-TF-NO-WEIGHTS",
        r"OSError: (?:Error no file named|no file named) (?P<file>\S+)",
        "the checkpoint has no weights ({file} is missing)",
        "copy the whole checkpoint, or check `model` in the profile",
        sources=("engine",),
        origin="transformers",
    ),
    FailureRule(
        "ED-TF-OFFLINE",
        r"(?:LocalEntryNotFoundError|OfflineModeIsEnabled|We couldn't connect to)(?P<what>.*)",
        "the model would have to be downloaded and the hub cannot be reached",
        "download the model first and give its folder as `model`",
        retry=True,
        sources=("engine",),
        origin="huggingface_hub",
    ),
    FailureRule(
        "ED-TF-ARCHITECTURE",
        r"model type `(?P<type>[^`]+)` but Transformers does not recognize this architecture",
        "this transformers does not know models of type {type}",
        "ernie-deploy engine install transformers",
        sources=("engine",),
        origin="transformers",
    ),
    FailureRule(
        "ED-TF-SERVING",
        r"ImportError: Missing dependencies for (?:serving|the serving CLI)",
        "transformers is installed without its server",
        "pip install 'transformers[serving]' in the engine's environment",
        sources=("engine",),
        origin="transformers/cli/serve.py",
    ),
    FailureRule(
        "ED-TF-MEMORY",
        r"OutOfMemoryError: (?P<what>.+)|DefaultCPUAllocator: can't allocate memory",
        "out of memory while loading",
        "free memory, or use a smaller model or quantization",
        sources=("engine",),
        origin="torch",
    ),
    FailureRule(
        "ED-TF-USAGE",
        r"(?:Error: |error: |│ )(?P<what>No such option.*|Invalid value.*|unrecognized arguments.*|"
        r"argument -.*)",
        "transformers serve refused its command line: {what}",
        "see `ernie-deploy plan` for the command line",
        sources=("engine",),
        exit_code=2,
        origin="typer and argparse",
    ),
    FailureRule(
        "ED-TF-NO-MODULE",
        r"ModuleNotFoundError: No module named '(?P<module>[^']+)'|"
        r"No module named (?P<module2>transformers\S*)",
        "the engine's environment lacks a module: {module}",
        "ernie-deploy engine install transformers",
        sources=("engine",),
        origin="python",
    ),
)

NOISE = (
    r"Scanning the cache directory for LLMs",
    r"Setting `pad_token_id`",
)

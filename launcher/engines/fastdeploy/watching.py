"""What FastDeploy's logs say: where to look, the phases of a start, the worker's exit code.

Lines measured on 2.4 (a CPU front end with a stand-in worker) and read in the sources of 2.0 to
2.4. The worker's own files come before the console, which repeats progress seconds later.
"""

from __future__ import annotations

from launcher.plan.model import ExitCodeSource, LogSource, Phase, PhaseRule, ProgressRule

LOG_SOURCES = (
    LogSource("engine"),
    LogSource("worker", "workerlog.*"),
    LogSource("launch", "launch_worker.log"),
    LogSource("worker-process", "worker_process.log"),
    LogSource("gpu-worker", "gpu_worker.log"),
    LogSource("gpu-runner", "gpu_model_runner.log"),
    LogSource("cache-process", "launch_cache*_manager_*.log"),
    LogSource("api-server", "api_server.log"),
    LogSource("fastdeploy", "fastdeploy.log"),
    LogSource("config", "config.log"),
)

PHASES = (
    Phase("import", "import libraries"),
    Phase("configure", "read model and settings"),
    Phase("launch workers", "launch workers"),
    Phase("load weights", "load weights"),
    Phase("load layers", "build layers"),
    Phase("profile KV cache", "profile KV cache"),
    Phase("warm up", "warm up"),
    Phase("serve", "open the port"),
)

_SHARDS = r"Loading (?:safetensors )?(?:checkpoint shards|Weights):?\s+(?P<percent>\d+)%"
_LAYERS = r"Loading Layers:\s+(?P<percent>\d+)%"
_WARM_UP = r"Warm up the model with|Cuda Graph capturing took|Starting warmup"
_PROFILED = r"Doing profile, the total_block_num:"
_KV = r"(?:available_kv_cache_memory:|Available KV Cache meomory:|num_blocks_(?:local|global):)"

PHASE_RULES = (
    PhaseRule("configure", r"Number of api-server workers: \d+\."),
    PhaseRule("configure", r"FastDeploy LLM API server starting\.\.\.", "api-server"),
    PhaseRule("configure", r"Using `\w+`: \[|is not specified, found available ports"),
    PhaseRule("launch workers", r"Launch worker service command: ", "fastdeploy"),
    PhaseRule("launch workers", r"Wait+ing (?:for )?worker processes (?:to be )?ready"),
    PhaseRule("load weights", _SHARDS, "worker"),
    PhaseRule("load weights", r"Starting to load model \w+", "gpu-worker"),
    PhaseRule("load weights", r"Starting to load model \w+", "gpu-runner"),
    PhaseRule("load weights", r"Start load layer \d+|set state for layer \d+", "worker"),
    PhaseRule("load weights", _SHARDS),
    PhaseRule("load layers", _LAYERS),
    PhaseRule("profile KV cache", _PROFILED, "config"),
    PhaseRule("profile KV cache", _KV, "worker"),
    PhaseRule("profile KV cache", _KV, "worker-process"),
    PhaseRule("profile KV cache", _KV, "gpu-worker"),
    PhaseRule("warm up", _WARM_UP, "gpu-worker"),
    PhaseRule("warm up", _WARM_UP, "gpu-runner"),
    PhaseRule("warm up", _WARM_UP, "worker"),
    PhaseRule("warm up", r"connect task queue address", "worker-process"),
    PhaseRule("serve", r"Worker processes are launched with [\d.]+ seconds"),
    PhaseRule("serve", r"FastDeploy LLM engine initialized!", "api-server"),
    PhaseRule("serve", r"Launching (?:metrics|chat completion|completion) service at"),
    PhaseRule("serve", r"Listening at: http|Uvicorn running on http"),
)

EXIT_CODES = (
    ExitCodeSource("launch", r"LAUNCH INFO [^\n]{0,200}?\bExit code (?P<code>-?\d+)"),
    ExitCodeSource("launch", r"^code (?P<code>-?\d+) log "),
    ExitCodeSource(
        "engine", r"Worker process has died [^\n]{0,200}?\(code=(?!0\)|-15\))(?P<code>-?\d+)\)"
    ),
)
"""The console's `Worker process has died (code=N)` has the code at times only: where gunicorn
collects the child first it is 0, and -15 where the server itself was told to stop."""

TOLD_TO_STOP = (
    r"\] Handling signal: (?P<signal>term|int|quit)\s*$",
    r"^Keyboard(?P<signal>Int)errupt\s*$",
)
"""Printed before anything of the server ends: by gunicorn (2.3 and later; the uvicorn of 2.0 to 2.2
names no signal), and while loading by Python, at whose end the workers go first."""

OWN_SIGNALS = ("SIGINT",)
"""Its monitor of the workers sends it to its own process once one is dead
(`api_server.py`, 2.3 to 2.6)."""

VITAL = (
    r"fastdeploy/(?:engine/\.\./)?worker/\w*worker_process\.py",
    r"paddle\.distributed\.launch",
)
"""Processes whose death is the server's death: its front end notices after 5 s, or never."""

PROGRESS = ProgressRule(workers=(*VITAL, r"cache_manager/cache_(?:transfer_manager|messager)\.py"))
"""The front end alone uses 8 % of a core and 81 kB/s of I/O while it waits for a worker (measured
on release/2.4 with the worker stopped, evenly in time; elsewhere 6 to 9 % in bursts): below the
background bars, above the workers'."""

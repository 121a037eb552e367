"""The tree of an engine: found, watched and ended, whatever it does to get away."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.support import ROOT

PROGRAM = """
import atexit, dataclasses, json, os, signal, subprocess, sys, time
from launcher.keeper import tree
from launcher.keeper.loop import Loop
tree.become_subreaper()
loop, gone, said = Loop(), [], {}
watched = tree.Tree(loop, lambda process: gone.append(process.pid))
atexit.register(watched.kill_all)  # a test that fails must not leave what holds its pipes open
"""


def keeping(code: str) -> Any:
    """What `code` says in a process that is a subreaper, as the keeper is; pytest stays none."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + code + "\nprint(json.dumps(said))"], text=True,
        capture_output=True, timeout=600, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_child_is_found_and_its_end_told_once_with_its_exit_code() -> None:
    output = keeping("""
child = subprocess.Popen(["sh", "-c", "read x; exit 7"], stdin=subprocess.PIPE)
said["found"] = [p.pid for p in watched.discover()] == [child.pid]
child.stdin.close()
said["told"] = loop.run_until(lambda: gone == [child.pid], 60)
said["code"] = tree.exit_code(watched.exits[child.pid])
said["left"] = watched.pids
""")
    assert output == {"found": True, "told": True, "code": 7, "left": []}


def test_a_child_that_is_dead_before_the_first_look_is_told_too() -> None:
    output = keeping("""
child = subprocess.Popen(["false"])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
watched.discover()
said["told"] = loop.run_until(lambda: gone == [child.pid], 60)
said["code"] = tree.exit_code(watched.exits[child.pid])
""")
    assert output == {"told": True, "code": 1}


def test_what_a_helper_of_the_keeper_starts_is_not_the_engines() -> None:
    """Nor what that starts: only the helper itself is known by its number."""
    output = keeping("""
helper = subprocess.Popen(["sh", "-c", "sh -c 'sleep 600; :'; :"], start_new_session=True)
watched.helpers.add(helper.pid)
end = time.monotonic() + 60
while len(tree.identity.descendants(tree.identity.myself())) != 3 and time.monotonic() < end:
    time.sleep(0.01)
said["descendants"] = len(tree.identity.descendants(tree.identity.myself()))
said["found"] = len(watched.discover())
os.killpg(helper.pid, signal.SIGKILL)
""")
    assert output == {"descendants": 3, "found": 0}


def test_a_process_that_is_gone_before_it_is_watched_leaves_no_descriptor() -> None:
    """Its number may be another's by then: it is looked at again once the descriptor is open."""
    output = keeping("""
child = subprocess.Popen(["sleep", "600"])
look, before = tree.identity.look, os.listdir("/proc/self/fd")
tree.identity.look = lambda pid: None if pid == child.pid else look(pid)
said["found"] = watched.discover()
said["left open"] = len(os.listdir("/proc/self/fd")) - len(before)
child.kill()
""")
    assert output == {"found": [], "left open": 0}


def test_daemons_are_followed_over_the_death_of_their_parents() -> None:
    """setsid and a double fork: the classic way out, closed by the subreaper."""
    output = keeping("""
DAEMON = (
    "import os, time\\n"
    "os.fork() and os._exit(0)\\n"
    "os.setsid()\\n"
    "os.fork() and os._exit(0)\\n"
    "time.sleep(600)\\n"
)
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", DAEMON])
watched.discover()
said["first went"] = loop.run_until(lambda: child.pid in gone, 60)
def daemon():
    watched.discover(); watched.refresh()
    own = (os.getsid(0), child.pid)
    return [p for p in watched.processes if p.session not in own and p.parent == os.getpid()]
said["adopted"] = loop.run_until(lambda: len(daemon()) == 1 and len(watched.pids) == 1, 60)
said["session noted"] = daemon()[0].session in [s.id for s in watched.sessions()]
watched.kill_all()
said["ended"] = loop.run_until(lambda: not watched.pids, 60)
""")
    assert output == {"first went": True, "adopted": True, "session noted": True, "ended": True}


def test_a_whole_session_is_signalled() -> None:
    output = keeping("""
child = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"], start_new_session=True)
while len(watched.pids) != 3:
    watched.discover()
    time.sleep(0.01)
other = subprocess.Popen(["sleep", "600"])
watched.discover()
watched.send_session(child.pid, signal.SIGTERM)
said["ended"] = loop.run_until(lambda: watched.pids == [other.pid], 60)
other.kill()
said["all"] = loop.run_until(lambda: not watched.pids, 60)
said["gone already"] = watched.send(other.pid, signal.SIGTERM)
""")
    assert output == {"ended": True, "all": True, "gone already": False}


def test_a_fork_bomb_in_slow_motion_is_ended() -> None:
    """Each process leaves a child and dies: it has to be caught between two generations."""
    output = keeping("""
STEP = "    os.fork() and os._exit(0)\\n    time.sleep(0.02)\\n"
RUNNER = "import os, time\\nfor n in range(200):\\n" + STEP
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", RUNNER])
watched.discover()
loop.run_until(lambda: len(gone) > 3, 60)
def ended():
    watched.kill_all()
    return not watched.discover() and not watched.pids
said["ended"] = loop.run_until(ended, 60)
said["children"] = len(tree.identity.descendants(tree.identity.myself()))
""")
    assert output == {"ended": True, "children": 0}


def test_the_exit_code_of_anothers_child_is_read_before_its_parent_asks() -> None:
    """paddle's launcher asks for its workers every second or two; until then they are zombies."""
    output = keeping("""
PARENT = "import os, time; os.fork() or os._exit(7); time.sleep(600)"
parent = subprocess.Popen([sys.executable, "-I", "-c", PARENT])
while not tree.identity.children(parent.pid):
    time.sleep(0.01)
(child,) = tree.identity.children(parent.pid)
process = tree.identity.look(child)
end = time.monotonic() + 60
while tree.zombie_status(process) is None and time.monotonic() < end:
    time.sleep(0.01)
said["became a zombie"] = tree.identity.look(child).state == "Z"
said["code"] = tree.exit_code(tree.zombie_status(process))
said["another's"] = tree.zombie_status(dataclasses.replace(process, start=1))
parent.kill()
""")
    assert output == {"became a zombie": True, "code": 7, "another's": None}


def test_the_exit_code_of_a_grandchild_is_told_with_its_end() -> None:
    output = keeping("""
PARENT = (
    "import subprocess, sys, time\\n"
    "child = subprocess.Popen(['sh', '-c', 'read x; exit 7'], stdin=sys.stdin)\\n"
    "time.sleep(600)\\n"
)
parent = subprocess.Popen([sys.executable, "-I", "-c", PARENT], stdin=subprocess.PIPE)
while len(watched.pids) != 2:
    watched.discover()
    time.sleep(0.01)
child = next(pid for pid in watched.pids if pid != parent.pid)
parent.stdin.close()
said["told"] = loop.run_until(lambda: gone == [child], 60)
said["code"] = tree.exit_code(watched.exits[child])
parent.kill()
""")
    assert output == {"told": True, "code": 7}


def test_whether_a_dead_process_had_executed_a_program_is_known() -> None:
    """A worker's helper that was seen between fork and exec is not the worker."""
    output = keeping("""
PARENT = (
    "import os, time\\n"
    "os.fork() or os._exit(7)\\n"
    "os.fork() or os.execv('/bin/false', ['false'])\\n"
    "time.sleep(600)\\n"
)
parent = subprocess.Popen([sys.executable, "-I", "-c", PARENT])
def dead():
    children = [tree.identity.look(pid) for pid in tree.identity.children(parent.pid)]
    return sorted((c for c in children if c.state == "Z"), key=lambda c: c.pid)
end = time.monotonic() + 60
while len(dead()) != 2 and time.monotonic() < end:
    time.sleep(0.01)
said["executed"] = [tree.died_after_exec(process) for process in dead()]
parent.kill()
""")
    assert output == {"executed": [False, True]}


def test_sessions_that_ended_are_forgotten_and_the_keepers_own_is_no_proof() -> None:
    """After 200 restarts a record of every session ever seen would name 400 numbers to kill."""
    output = keeping("""
def child(**how):
    return subprocess.Popen(["sh", "-c", "read x"], stdin=subprocess.PIPE, **how)
for _ in range(5):
    one = child(start_new_session=True)
    watched.discover()
    said["noted"] = [s.id for s in watched.sessions()] == [one.pid]
    one.stdin.close()
    assert loop.run_until(lambda: not watched.pids, 60)
said["left"] = watched.sessions()
mine = child()
watched.discover()
said["own"] = watched.sessions()
mine.stdin.close()
""")
    assert output == {"noted": True, "left": [], "own": []}


def test_an_engine_does_not_inherit_ignored_signals() -> None:
    """`nohup ernie-deploy up x.yaml &` in a script ignores three of them for all that it starts."""
    code = """
import functools, os, signal, subprocess
from launcher.keeper import tree
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
begin = functools.partial(tree.begin_engine, os.getpid())
subprocess.run(["grep", "SigIgn", "/proc/self/status"], preexec_fn=begin, check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    # A signal the C library keeps for itself (32 and 33) may already be ignored when we
    # start, and it cannot be set: only the ones below are ours to reset.
    assert int(done.stdout.split()[1], 16) & 0x7FFF_FFFF == 0

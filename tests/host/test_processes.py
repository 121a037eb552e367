"""The one reader of processes: what the kernel shows, and what it shows no more."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.host import processes
from tests.support import ROOT
from tests.support.waiting import wait_for

NOBODY = 2**22 + 1
"""No process can have this number."""


@contextmanager
def running(code: str, *argv: str, env: dict[str, str] | None = None) -> Iterator[int]:
    """A Python that has executed `code` and waits for its end."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", f"{code}\nprint(flush=True)\ninput()", *argv],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield child.pid
    finally:
        child.communicate(b"\n")


@pytest.mark.parametrize(
    "name", ["a b", "a) S 1 (b", "))))", "((((", "a\\tb", ") Z 0 0 0", "a\\nb"]
)
def test_a_name_may_hold_what_it_likes(name: str) -> None:
    with running(
        f"open('/proc/self/comm', 'w').write({name.encode().decode('unicode_escape')!r})"
    ) as pid:
        process = processes.look(pid)
        assert process is not None
        assert process.name == name.encode().decode("unicode_escape")
        assert process.parent == os.getpid()
        assert process.state in "RS"
        assert process.session == os.getsid(0)


def test_a_process_that_is_gone_is_none_or_nothing() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    for pid in (child.pid, NOBODY):
        assert processes.stat(pid) is None
        assert processes.look(pid) is None
        assert processes.started_at(pid) is None
        assert processes.uid(pid) is None
        assert processes.name(pid) == ""
        assert processes.argv(pid) == []
        assert processes.command_line(pid) == ""
        assert processes.summary(pid) == "gone"
        assert processes.environment(pid, ["PATH"]) == {}
        assert processes.maps(pid) == b""
        assert list(processes.open_files(pid)) == []
        assert processes.transferred(pid) == {}
        assert processes.children(pid) == []
        assert list(processes.ancestors(pid)) == [pid]


def test_a_zombie_has_numbers_and_nothing_else() -> None:
    child = subprocess.Popen(["true"])
    wait_for(lambda: (now := processes.stat(child.pid)) is not None and now.has_ended, "its end")
    assert processes.started_at(child.pid) is None
    assert processes.command_line(child.pid) == ""
    assert processes.summary(child.pid) == "true", "its name is still there"
    assert list(processes.open_files(child.pid)) == []
    child.wait()


@pytest.mark.parametrize(
    "text",
    ["", "1 (x) S", "nonsense", "1 (x)", "1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
     "1 x S " + "0 " * 40],
)  # fmt: skip
def test_a_short_or_strange_table_is_no_process(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(text)
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    assert processes.look(7) is None


def test_an_older_kernel_tells_fewer_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text("7 (x) Z 1 2 3" + " 5" * 16)
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    now = processes.stat(7)
    assert now is not None
    assert now.has(processes.START)
    assert not now.has(processes.WAIT_STATUS)
    assert (now.number(processes.START), now.number(processes.WAIT_STATUS)) == (5, 0)


def test_each_number_is_the_field_that_it_is_named_after() -> None:
    assert [processes.STATE, processes.PARENT, processes.SESSION, processes.FLAGS] == [3, 4, 6, 9]
    with running(
        "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    ) as pid:
        now = processes.stat(pid)
        assert now is not None
        assert now.number(processes.PARENT) == os.getpid()
        assert now.number(processes.SESSION) == os.getsid(0)
        used = now.number(processes.USER_TIME) + now.number(processes.SYSTEM_TIME)
        assert used / os.sysconf("SC_CLK_TCK") >= 0.09
        began = processes.started_at(pid)
        assert began is not None
        assert time.time() - 600 < began <= time.time() + 0.02
        assert processes.uid(pid) == os.getuid()


def test_words_are_given_back_as_the_program_got_them() -> None:
    arguments = ["", "two words", "new\nline", "\udcff not UTF-8", "--flag=ä"]
    with running("", *arguments) as pid:
        assert processes.argv(pid)[-5:] == arguments
        assert "two words new\nline" in processes.command_line(pid)
        assert processes.command_line(pid).endswith("--flag=ä")


def test_a_command_line_of_megabytes_is_read_in_part() -> None:
    with running("", *(["x" * 100_000] * 15)) as pid:
        assert len(processes.raw_command_line(pid)) == processes.LONGEST_COMMAND
        assert processes.argv(pid) == [], "the last word would be a part of one"
        assert len(processes.summary(pid)) == processes.SUMMARY


def test_a_variable_behind_megabytes_of_others_is_found() -> None:
    """A keeper marks its engine behind whatever the operator's environment holds."""
    env = {f"FILL{i}": "x" * 100_000 for i in range(15)} | {"ONE_MARK": "one", "MARK": "last"}
    with running("", env=env) as pid:
        assert processes.environment(pid, ["MARK", "ONE_MARK", "NONE"]) == {
            "MARK": "last", "ONE_MARK": "one",
        }  # fmt: skip


def test_a_variable_is_found_by_its_whole_name_only() -> None:
    with running("", env={"A_MARK": "no", "VALUE": "MARK=no", "MARK": "=b"}) as pid:
        assert processes.environment(pid, ["MARK"]) == {"MARK": "=b"}
        assert processes.environment(pid, ["ALUE", "VALUE"]) == {"VALUE": "MARK=no"}
    with running("", env={"FIRST": "1", "LAST": ""}) as pid:
        assert processes.environment(pid, ["FIRST", "LAST"]) == {"FIRST": "1", "LAST": ""}


def test_what_is_open_and_mapped_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_bytes(b"x" * 4096)
    code = f"import mmap; f = open({str(path)!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0)"
    with running(code) as pid:
        assert str(path) in [target for _, target in processes.open_files(pid)]
        opened = [one for one, target in processes.open_files(pid) if target == str(path)]
        assert os.stat(opened[0]).st_ino == path.stat().st_ino
        assert os.fsencode(path) in processes.maps(pid)
        assert processes.transferred(pid)["rchar"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_another_users_process_is_seen_but_not_looked_into() -> None:
    child = subprocess.Popen(["sleep", "600"], user=65534, env={"MARK": "secret"})
    code = (
        "import os; from launcher.host import processes as p\n"
        "os.setgroups([]); os.setgid(65533); os.setuid(65533)\n"
        f"pid = {child.pid}\n"
        "print([p.look(pid).name, p.uid(pid), p.argv(pid),"
        " p.environment(pid, ['MARK']), p.maps(pid), list(p.open_files(pid)), p.transferred(pid)])"
    )
    try:
        wait_for(lambda: processes.argv(child.pid) == ["sleep", "600"], "exec")
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    finally:
        child.kill()
        child.wait()
    expected = ["sleep", 65534, ["sleep", "600"], {}, b"", [], {}]
    assert second.stdout.strip() == str(expected), second.stderr


def test_generations_are_walked_in_both_directions() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    try:
        assert processes.children(child.pid) == [grandchild]
        assert list(processes.ancestors(grandchild))[:3] == [grandchild, child.pid, os.getpid()]
        assert list(processes.ancestors(grandchild, most=2)) == [grandchild, child.pid]
        assert {grandchild, child.pid} <= {one.pid for one in processes.every_process()}
        assert {grandchild, child.pid} <= set(processes.pids())
        root = processes.look(child.pid)
        assert root is not None
        assert [one.pid for one in processes.descendants(root)] == [grandchild]
    finally:
        os.kill(grandchild, signal.SIGKILL)
        child.communicate()


READERS: dict[str, Callable[[int], object]] = {
    "stat": processes.stat,
    "command line": processes.command_line,
    "environment": lambda pid: processes.environment(pid, ["PATH"]),
    "maps": processes.maps,
    "open files": lambda pid: list(processes.open_files(pid)),
    "io": processes.transferred,
    "children": processes.children,
    "all": lambda pid: processes.every_process(),
}


@pytest.mark.parametrize("what", READERS)
def test_having_no_descriptor_left_does_not_mean_that_a_process_is_gone(what: str) -> None:
    """A receipt of zero processes would be a lie."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hoard: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        with pytest.raises(OSError, match="Too many open files") as error:  # noqa: PT012
            try:
                while True:
                    hoard.append(os.dup(0))
            except OSError:
                READERS[what](os.getpid())
    finally:
        for descriptor in hoard:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert error.value.errno == errno.EMFILE
    assert READERS[what](os.getpid()) is not None


def test_the_identity_of_this_machine_does_not_change() -> None:
    here = processes.this_host()
    assert here == processes.this_host()
    assert here.boot == processes.boot_id()
    assert here.pid_namespace.startswith("pid:[")
    assert here.machine


def test_the_keeper_gets_no_other_module_of_this_room_by_it() -> None:
    code = (
        "import sys; import launcher.host.sockets;"
        " print(sorted(n for n in sys.modules if n.startswith('launcher.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.strip() == str(
        ["launcher.host", "launcher.host.processes", "launcher.host.sockets"]
    ), ran.stderr

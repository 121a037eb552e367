"""The keeper's endpoint as a whole: it listens, answers, and is counted for.

It answers from a thread of its own: the keeper's waits for disks, and takes some 100 ms over an
engine's failure, in which a load balancer asks. The thread reads the keeper's memory and changes
nothing of it.
"""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from launcher.errors import Problem
from launcher.host.sockets import describe_holder
from launcher.keeper.admin.counters import Counters
from launcher.keeper.admin.pages import Pages, Sampled, Usage
from launcher.keeper.admin.server import HttpServer
from launcher.keeper.folder_socket import FolderSocket
from launcher.keeper.listener import Listener
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.loop_thread import LoopThread
from launcher.keeper.record import Record
from launcher.plan.model import LaunchPlan, PortUse

BACKLOG = 128
"""Clients that wait to be accepted."""
BEAT = 5.0
"""Seconds between two signs of life of the keeper's own loop."""
SWITCH_INTERVAL = 0.001
"""Seconds that Python lets one thread compute while another waits (5 ms by default): an answer
takes three turns."""


class Endpoint:
    """Listens from the keeper's start to its end, whatever becomes of the engine."""

    def __init__(
        self,
        loop: Loop,
        folder: Path,
        plan: LaunchPlan,
        record: Record,
        engine_lives: Callable[[], bool],
        sampled: Sampled | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Listen where the plan says; a plan of before there was an endpoint says nowhere.

        Raises:
            OSError: that is not possible.
        """
        self._keeper_loop = loop
        self._counters = Counters()
        record.observers.append(self._counters.observe)
        self._pages = Pages(plan, record.state, self._counters, engine_lives, sampled, usage)
        self._listener: Listener | None = None
        self._socket: FolderSocket | None = None
        self._timer: Timer | None = None
        self._thread = LoopThread()
        own_loop = self._thread.loop
        self._server = HttpServer(own_loop, self._pages.answer)
        use = plan.admin
        take, make_room = self._server.take_client, self._server.drop_silent
        if use is None:
            return
        if use.socket is not None:
            name = Path(use.socket).name
            self._socket = FolderSocket(own_loop, folder, name, take, make_room)
        else:
            self._listener = Listener(own_loop, _listen(use), take, make_room)
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._close_sockets()
            raise OSError(errno.EAGAIN, f"no thread can be started: {error}") from error
        self._beat()

    def _beat(self) -> None:
        self._pages.keeper_turned = time.monotonic()
        self._timer = self._keeper_loop.call_later(BEAT, self._beat)

    def in_place(self) -> bool:
        """False where its Unix socket was removed or replaced."""
        return self._socket is None or self._socket.in_place()

    def listen_again(self) -> None:
        """Make the Unix socket anew.

        Raises:
            OSError: that is not possible now.
        """
        if self._socket is not None:
            self._thread.do(self._socket.listen_again)

    def close(self) -> None:
        """Stop listening and hang up."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for listener in (self._listener, self._socket):
            if listener is not None:
                listener.close()
        self._server.close()


def _listen(use: PortUse) -> socket.socket:
    family = socket.AF_INET6 if ":" in use.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # As servers set it: connections of an earlier keeper in TIME_WAIT do not count as taken.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((use.address, use.number))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def listen_problem(plan: LaunchPlan, error: OSError) -> Problem:
    """Why the endpoint cannot be made: its port was taken since it was leased, for instance."""
    use = plan.admin
    if use is None or use.socket is not None:
        text = f"the keeper's endpoint cannot be made: {error.strerror or error}"
        return Problem("admin-socket", text, use.socket if use else None, "free some disk space")
    who = describe_holder(use.number)
    by = f" by {who}" if who else ""
    return Problem(
        "port-taken",
        f"the keeper cannot listen on {use.address}:{use.number}{by}: {error.strerror or error}",
        "ports.admin",
        "end that program, or choose another port, or `ports: {admin: auto}`",
    )

"""Where generated tokens travel from the worker to the front end.

A real System V queue whose key is ``ftok("/dev/shm", Q)``: the key keeps only the low byte of Q
(custom_ops/gpu_ops/get_output.cc, save_with_output_msg.cc), so two servers whose Q agree modulo 256
take each other's tokens. ``FD_USE_GET_SAVE_OUTPUT_V1=1`` uses a socket whose name has no port.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import time

from fastdeploy._twin import release

IPC_CREAT = 0o1000
IPC_NOWAIT = 0o4000
MESSAGE = struct.Struct("<iii")
OUTPUT_SOCKET = "/dev/shm/get_save_output_rank0.socket"

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.msgrcv.restype = ctypes.c_ssize_t


class _Buffer(ctypes.Structure):
    _fields_ = [("mtype", ctypes.c_long), ("data", ctypes.c_int32 * 3)]


def key_of(queue_port: int) -> int:
    """ftok; from 2.5 on custom_ops/gpu_ops/custom_ftok.h, which keeps 20 bits of Q."""
    if release.at_least("2.5"):
        status = os.stat("/dev/shm")
        wide = (status.st_dev & 0xF) << 28 | (status.st_ino & 0xFF) << 20 | queue_port & 0xFFFFF
        return wide & 0xFFFFFFFF
    key: int = _LIBC.ftok(b"/dev/shm", ctypes.c_int(queue_port))
    return key & 0xFFFFFFFF


class TokenQueue:
    """(slot, token id, 1 at the last token), with nothing that says whose they are."""

    def __init__(self, queue_port: int) -> None:
        self._id: int = _LIBC.msgget(ctypes.c_int32(key_of(queue_port)), IPC_CREAT | 0o666)
        if self._id < 0:
            raise OSError(ctypes.get_errno(), "msgget failed")

    def send(self, slot: int, token: int, last: int) -> None:
        buffer = _Buffer(1, (slot, token, last))
        while _LIBC.msgsnd(self._id, ctypes.byref(buffer), MESSAGE.size, IPC_NOWAIT) < 0:
            if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                raise OSError(ctypes.get_errno(), "msgsnd failed")
            time.sleep(0.01)  # full: an unread queue holds the worker up, as on the real one

    def receive(self) -> tuple[int, int, int]:
        """Block for the next message of any sender."""
        buffer = _Buffer()
        size = MESSAGE.size
        while _LIBC.msgrcv(self._id, ctypes.byref(buffer), size, ctypes.c_long(0), 0) != size:
            if ctypes.get_errno() != errno.EINTR:
                raise OSError(ctypes.get_errno(), "msgrcv failed")
        slot, token, last = buffer.data
        return slot, token, last


class TokenSocket:
    """The same over a unix datagram socket; the file stays after a clean stop."""

    def __init__(self, *, receiver: bool) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if receiver:
            if os.path.exists(OUTPUT_SOCKET):
                os.unlink(OUTPUT_SOCKET)
            self._socket.bind(OUTPUT_SOCKET)

    def send(self, slot: int, token: int, last: int) -> None:
        # another server took the name: the tokens are lost, as they would be
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            self._socket.sendto(MESSAGE.pack(slot, token, last), OUTPUT_SOCKET)

    def receive(self) -> tuple[int, int, int]:
        slot, token, last = MESSAGE.unpack(self._socket.recv(MESSAGE.size))
        return slot, token, last


def open_output(queue_port: int, *, receiver: bool) -> TokenQueue | TokenSocket:
    if release.at_least("2.3") and os.environ.get("FD_USE_GET_SAVE_OUTPUT_V1") == "1":
        return TokenSocket(receiver=receiver)
    return TokenQueue(queue_port)

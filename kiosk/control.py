"""How an operator's command reaches the running service: a Unix socket in the terminal's data folder, JSON lines.

One request a connection; the answer is any number of `{"say": …}` lines and one `{"done": …}` or `{"error": …}`. Only
the terminal's own user and root are answered. The journal's lock decides who may open the data: the service while it
runs, else the command itself; never both.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from evidence.errors import EvidenceError
from kiosk.enrolment import Consent
from kiosk.errors import BadRequest, ControlError, KioskError, NotAnswering
from kiosk.operations import Enrolment, Operations
from kiosk.verify.errors import VerifyError

log = structlog.get_logger(__name__)

SOCKET_NAME = "control.sock"
MAX_REQUEST_BYTES = 262_144  # an authorisation has about 1 kB; a stick brings one receipt a chain
REQUEST_TIMEOUT_S = 10.0  # for the one line of a request; a command that hangs must not hold a thread for ever
CONNECT_TIMEOUT_S = 2.0
MAX_CONNECTIONS = 8  # an operator needs one


class ControlServer:
    """Answers operators between `start` and `stop`; each request in a thread of its own."""

    def __init__(self, folder: Path, operations: Operations) -> None:
        self._folder, self._operations = folder, operations
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._places = threading.Semaphore(MAX_CONNECTIONS)

    def start(self) -> None:
        """Listen. Raises ControlError where the socket cannot be made."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listening.fileno(), 0o600)  # before bind: the file never is open to others, not for an instant
            with _in_folder(self._folder) as address:
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / SOCKET_NAME).unlink()  # left by a crash: whoever holds the journal is alone
                listening.bind(address)
            listening.listen(MAX_CONNECTIONS)
        except OSError as error:
            listening.close()
            raise ControlError(f"the control socket cannot be made in {self._folder}: {error.strerror}") from error
        self._socket = listening
        self._thread = threading.Thread(target=self._run, args=(listening,), name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; a request that is being answered ends with the part that answers it."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which a close alone does not
        self._socket.close()
        if self._thread is not None:
            self._thread.join(REQUEST_TIMEOUT_S)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / SOCKET_NAME).unlink()
        self._socket = self._thread = None

    def _run(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._answer, args=(connection,), name="control-request", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rwb") as line:
                if not _is_own(connection):
                    return
                connection.settimeout(REQUEST_TIMEOUT_S)
                request = line.readline(MAX_REQUEST_BYTES)
                connection.settimeout(None)

                def tell(what: dict[str, Any]) -> None:
                    line.write(json.dumps(what, ensure_ascii=False).encode() + b"\n")
                    line.flush()

                tell(self._outcome(request, lambda text: tell({"say": text})))
        except (OSError, ValueError) as error:
            log.warning("control_request_lost", reason=str(error))
        finally:
            self._places.release()

    def _outcome(self, request: bytes, say: Callable[[str], None]) -> dict[str, Any]:
        try:
            return {"done": answer(self._operations, json.loads(request), say)}
        except (KioskError, VerifyError, EvidenceError) as error:
            return _error(getattr(error, "code", "error"), str(error))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError):
            return _error("bad_request", "the request cannot be read; update zaigang")
        except BrokenPipeError:
            raise
        except Exception as error:
            log.exception("control_request_failed")
            return _error("error", f"{type(error).__name__}: {error}")


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def answer(operations: Operations, request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Do what one request asks. Raises BadRequest, and the errors of `Operations`."""
    try:
        return _answer(operations, request, say)
    except ValidationError as error:
        one = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in one["loc"])
        raise BadRequest(f"{where or 'request'}: {str(one['msg']).removeprefix('Value error, ')}") from error


def _answer(operations: Operations, request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    match request["do"]:
        case "status":
            return operations.status()
        case "enrol":
            done = operations.enrol(Enrolment.model_validate(request["enrolment"]), say)
            return {
                "worker": done.worker,
                "name": done.name,
                "frames": done.frames,
                "seq": done.seq,
                "transfer": done.transfer,
            }
        case "rotate_key":
            return operations.rotate_key(str(request["reason"])[:400])
        case "new_chain":
            return operations.new_chain(str(request["reason"])[:400])
        case "erase":
            return operations.erase(str(request["worker"]))
        case "withdraw":
            return operations.withdraw(str(request["worker"]), str(request["scope"]))
        case "agree":
            consent = Consent.model_validate(request["consent"])
            return operations.agree(str(request["worker"]), str(request["scope"]), consent)
        case "clips" | "release_clip" | "erase_clip":
            return _clips(operations, request)
        case "peers":
            return _peers(operations, request)
        case "take_receipts":
            return operations.take_receipts([base64.b64decode(str(one)) for one in request["receipts"]])
        case unknown:
            raise BadRequest(f"this version cannot do {unknown!r}; update zaigang")


def _clips(operations: Operations, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "clips":
        return {"clips": operations.clips.held()}
    act = operations.release_clip if request["do"] == "release_clip" else operations.erase_clip
    return act(str(request["command"]), str(request["by"]), str(request["reason"]))


def _peers(operations: Operations, request: dict[str, Any]) -> dict[str, Any]:
    if "confirm" in request:
        return operations.confirm_peer(*(str(request[name]) for name in ("confirm", "fingerprint", "by")))
    if "remove" in request:
        return operations.remove_peer(str(request["remove"]), str(request["by"]))
    return operations.peers()


class Asked(ControlError):
    """The service did what it was asked up to an error, whose own code this carries."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(folder: Path, request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Ask the running service. Raises NotAnswering where none listens, Asked for what it refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_TIMEOUT_S)
        try:
            with _in_folder(folder) as address:
                connection.connect(address)
        except OSError as error:
            raise NotAnswering(f"no service answers in {folder}: {error.strerror or error}") from error
        connection.settimeout(None)  # an enrolment takes as long as the worker takes
        try:
            with connection.makefile("rwb") as line:
                line.write(json.dumps(request).encode() + b"\n")
                line.flush()
                for data in line:
                    one = json.loads(data)
                    if "say" in one:
                        say(str(one["say"]))
                    elif "error" in one:
                        raise Asked(str(one["error"]["code"]), str(one["error"]["message"]))
                    else:
                        done: dict[str, Any] = one["done"]
                        return done
        except (OSError, ValueError, KeyError) as error:
            raise ControlError(f"the service broke off: {error}; `zaigang kiosk status` tells what was done") from error
    raise ControlError("the service ended without an answer; `zaigang kiosk status` tells what was done")


@contextmanager
def _in_folder(folder: Path) -> Iterator[str]:
    """The socket's address by way of the open folder: a whole path may be longer than the 107 bytes it may have."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)


def _is_own(connection: socket.socket) -> bool:
    """Whether the other end runs as this user or root (SO_PEERCRED, unix(7)); the file's mode says so already."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid in (os.geteuid(), 0)

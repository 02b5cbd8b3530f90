"""Clips of spot checks on this terminal's disk: a file each, sealed with AES-256-GCM under a key of their own.

The first line lies open (which call, whose, when) and is bound to the rest: a changed file opens for nobody. A file is
there whole or not at all. The store refuses a clip for which there is no room rather than throw another away.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kiosk.clip_recording import Video
from kiosk.durable_file import replace_file, sync_folder
from kiosk.errors import KioskError
from kiosk.health import free_bytes

MOST_CLIPS = 50  # of 2 MB each; a terminal calls a few workers a day
KEPT_S = 30 * 86_400  # thirty days: a complaint comes within a month's pay
SALT_BYTES, NONCE_BYTES = 16, 12
_VERSION = "zaigang-clip-1"
_ENDING = ".clip"

log = structlog.get_logger(__name__)


class ClipError(KioskError):
    """A clip was not kept, or cannot be had; the message says why."""

    code = "clip"


class ClipMissing(ClipError):
    """No clip of this call is kept here."""

    code = "clip_missing"


class ClipUnreadable(ClipError):
    """The file was changed, or another key made it."""

    code = "clip_unreadable"


class NoRoomForClip(ClipError):
    """There are as many clips as may be, or the disk is nearly full."""

    code = "no_room"


@dataclass(frozen=True, slots=True)
class Held:
    """What lies open of a clip."""

    command: str  # id of the spot check, 32 hexadecimal digits
    worker: str  # employee code
    made: str  # RFC 3339 UTC
    frames: int
    duration_ms: int
    commitment: str  # SHA-256(salt ‖ video), as the answer signed it


@dataclass(frozen=True, slots=True)
class Opened:
    """A clip in clear: whoever has salt and video can check the commitment."""

    held: Held
    salt: bytes
    video: bytes


class ClipStore:
    """The clips in `folder`, made where there is none; `load_key` gives 32 bytes. Safe from several threads.

    Raises ClipError where the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        load_key: Callable[[], bytes],
        *,
        low_space_bytes: int = 0,
        most: int = MOST_CLIPS,
        kept_s: int = KEPT_S,
    ) -> None:
        self._folder, self._load_key = folder, load_key
        self._low_space_bytes, self._most, self.kept_s = low_space_bytes, most, kept_s
        self._lock = threading.RLock()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            for draft in folder.glob(".*.new"):  # the power went while it was written
                draft.unlink()
        except OSError as error:
            raise ClipError(f"{folder} cannot hold clips: {error.strerror}") from error

    @contextmanager
    def closed(self) -> Iterator[None]:
        """No clip is kept by another thread meanwhile."""
        with self._lock:
            yield

    def put(self, command: str, worker: str, made: str, video: Video) -> Held:
        """Seal and keep the clip of one call, in the place of an earlier one of it. On disk when this returns.

        Raises NoRoomForClip, ClipError or an IdentityError.
        """
        salt = secrets.token_bytes(SALT_BYTES)
        commitment = hashlib.sha256(salt + video.data).hexdigest()
        held = Held(command, worker, made, video.frames, video.duration_ms, commitment)
        head = json.dumps({"v": _VERSION, **asdict(held)}).encode() + b"\n"
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._load_key()).encrypt(nonce, salt + video.data, head)
        with self._lock:
            path = self._path(command)
            self._need_room(path, len(sealed))
            try:
                replace_file(path, head + nonce + sealed)
            except OSError as error:
                raise ClipError(f"the clip cannot be written to {self._folder}: {error.strerror}") from error
        return held

    def held(self) -> tuple[Held, ...]:
        """What is kept, oldest first; a file whose first line cannot be read is logged and left out."""
        found = []
        with self._lock:
            for path in self._paths():
                try:
                    found.append(_head(path)[0])
                except ClipUnreadable as error:
                    log.error("clip_unreadable", path=path.name, reason=str(error))
        return tuple(sorted(found, key=lambda one: one.made))

    def open(self, command: str) -> Opened:
        """Return a clip in clear. Raises ClipMissing, ClipUnreadable or an IdentityError."""
        with self._lock:
            path = self._path(command)
            held, head, rest = _head(path)
        try:
            plain = AESGCM(self._load_key()).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head)
        except (InvalidTag, ValueError) as error:
            raise ClipUnreadable(
                f"the clip {command} was changed, or another key made it; only erasing helps"
            ) from error
        if held.command != command:
            raise ClipUnreadable(f"the file of {command} holds the clip of another call; only erasing helps")
        return Opened(held, plain[:SALT_BYTES], plain[SALT_BYTES:])

    def drop(self, command: str) -> bool:
        """Remove the clip of one call; say whether there was one. Raises ClipError."""
        with self._lock:
            return self._remove(self._path(command))

    def drop_worker(self, worker: str) -> int:
        """Remove every clip of a worker, and every file that no longer says whose it is: it opens for nobody anyway.

        Return how many went. Raises ClipError.
        """
        gone = 0
        with self._lock:
            for path in self._paths():
                try:
                    whose = _head(path)[0].worker
                except ClipUnreadable:
                    whose = worker
                if whose == worker:
                    gone += self._remove(path)
        return gone

    def prune(self, now_s: float | None = None) -> int:
        """Remove what has been kept long enough, by the file's own time; return how many. Raises ClipError."""
        oldest_s = (time.time() if now_s is None else now_s) - self.kept_s
        with self._lock:
            return sum(self._remove(path) for path in self._paths() if path.stat().st_mtime < oldest_s)

    def _need_room(self, path: Path, size: int) -> None:
        others = [one for one in self._paths() if one != path]
        if len(others) >= self._most:
            raise NoRoomForClip(f"{len(others)} clips are kept, which is all there may be; erase what is not needed")
        free = free_bytes(self._folder)
        if free is not None and free - size < self._low_space_bytes:
            raise NoRoomForClip("the disk is nearly full; punches need what is left")

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_ENDING}"))

    def _path(self, command: str) -> Path:
        if len(command) != 32 or not set(command) <= set("0123456789abcdef"):
            raise ClipMissing("a call's id has 32 hexadecimal digits")
        return self._folder / f"{command}{_ENDING}"

    def _remove(self, path: Path) -> bool:
        try:
            path.unlink()
            sync_folder(self._folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ClipError(f"{path} cannot be removed: {error.strerror}") from error
        return True


def _head(path: Path) -> tuple[Held, bytes, bytes]:
    """Return what the first line says, the line, and what is behind it. Raises ClipMissing or ClipUnreadable."""
    try:
        head, newline, rest = path.read_bytes().partition(b"\n")
    except FileNotFoundError as error:
        raise ClipMissing("no clip of this call is kept here") from error
    except OSError as error:
        raise ClipUnreadable(f"{path.name}: {error.strerror}") from error
    try:
        said: dict[str, Any] = json.loads(head)
        if said.pop("v") != _VERSION:
            raise ValueError("another version")
        held = Held(**said)
        if not all(isinstance(one, str) for one in (held.command, held.worker, held.made, held.commitment)):
            raise ValueError("not a text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClipUnreadable(f"{path.name} is no clip of this version, or was changed; only erasing helps") from error
    return held, head + newline, rest

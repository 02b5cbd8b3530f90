"""Clips of spot checks, from consent to release: who agreed is recorded, what is kept is said in the signed answer.

Without the worker's own consent of the scope `clip` nothing is recorded, and the answer says so. Whatever goes wrong
here costs the clip, never the answer (docs/adr/0047).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from pydantic import JsonValue

from evidence.events import ClipErasedBody, ClipReleasedBody, Kind
from kiosk.clip_recording import Recording
from kiosk.clip_store import ClipError, ClipMissing, ClipStore, Opened
from kiosk.clock import Stamp, format_time, parse_time
from kiosk.errors import KioskError
from kiosk.gallery_key import gallery_key
from kiosk.journal import Journal
from kiosk.journal_author import Recorded
from kiosk.settings import KioskSettings
from kiosk.spot_check import Call
from kiosk.verify.errors import GalleryError
from kiosk.verify.gallery import Gallery

log = structlog.get_logger(__name__)

NO_CONSENT = "no_consent: the worker has not agreed to clips on this terminal"
NO_PICTURE = "no_picture: the camera saw nothing of this attempt"


@dataclass(frozen=True, slots=True)
class Clips:
    """`now` gives RFC 3339 UTC with milliseconds; `store` None: `trouble` says why this terminal keeps no clip."""

    store: ClipStore | None
    gallery: Gallery
    journal: Journal
    now: Callable[[], str]
    trouble: str = "error: this terminal keeps no clips"
    wake: Callable[[], None] = field(default=lambda: None)

    def recording(self, worker: str) -> Recording | None:
        """Begin to record a called worker; None without consent, or where nothing could be kept."""
        return Recording() if self.store is not None and self._why_not(worker) is None else None

    def keep(self, call: Call, recording: Recording | None) -> dict[str, JsonValue]:
        """Keep the clip of the attempt that the answer will show, and say what the answer says of it. Never raises."""
        if self.store is None:
            return _none(self.trouble)
        try:
            with self.store.closed():  # a consent that is being withdrawn is withdrawn before or after this
                why = self._why_not(call.worker)
                video = recording.video() if recording is not None else None
                if why is not None or video is None:
                    self.store.drop(call.command.id)  # of an earlier attempt that the answer no longer shows
                    return _none(why or NO_PICTURE)
                made = self.now()
                held = self.store.put(call.command.id, call.worker, made, video)
        except (KioskError, GalleryError) as error:
            log.error("clip_not_kept", code=error.code, reason=str(error))
            return _none(f"{error.code}: {error}")
        except Exception as error:
            log.exception("clip_not_kept")
            return _none(f"error: {type(error).__name__}: {error}")
        until = format_time(
            parse_time(made) + int(timedelta(seconds=self.store.kept_s).total_seconds()) * 1_000_000_000
        )
        kept: dict[str, JsonValue] = {
            "commitment": held.commitment,
            "frames": held.frames,
            "duration_ms": held.duration_ms,
            "until": until,
        }
        return {"clip": kept, "clip_why": "ok: kept on the terminal under the worker's own consent"}

    def forget(self, command: str) -> None:
        """Drop the clip of a call that a restart cut short: its answer has none."""
        if self.store is not None:
            self.store.drop(command)

    @contextmanager
    def erasing(self, worker: str) -> Iterator[None]:
        """Remove a worker's clips, and keep none meanwhile: the consent goes within. Raises ClipError."""
        if self.store is None:
            yield
            return
        with self.store.closed():
            gone = self.store.drop_worker(worker)
            if gone:
                log.info("clips_erased", clips=gone)
            yield

    # What operators ask

    def release(self, command: str, by: str, reason: str) -> tuple[Opened, Recorded]:
        """Open a clip for an operator; who took it and why is signed first. Raises ClipError or a JournalError."""
        opened = self._store().open(command)
        body = ClipReleasedBody(command=command, commitment=opened.held.commitment, by=by, reason=reason)
        recorded = self.journal.append(Kind.CLIP_RELEASED, body)
        self.wake()
        return opened, recorded

    def erase(self, command: str, by: str, reason: str) -> Recorded:
        """Remove one clip, then sign that. Raises ClipMissing, ClipError or a JournalError."""
        if not self._store().drop(command):
            raise ClipMissing("no clip of this call is kept here")
        recorded = self.journal.append(Kind.CLIP_ERASED, ClipErasedBody(command=command, by=by, reason=reason))
        self.wake()
        return recorded

    def held(self) -> list[dict[str, Any]]:
        """What is kept, oldest first, without any picture. Raises ClipError."""
        return [{name: getattr(one, name) for name in one.__slots__} for one in self._store().held()]

    def prune(self, now: Stamp) -> None:
        """Remove what has been kept long enough; the answers said how long. Raises ClipError.

        Where nothing sets the clock it counts up to the newest receipt at most: set ahead, it erases nothing.
        """
        if self.store is None:
            return
        newest = None if now.clock.synced else self.journal.newest_receipt()
        self.store.prune(parse_time(now.time if newest is None else min(now.time, newest)) / 1e9)

    def _store(self) -> ClipStore:
        if self.store is None:
            raise ClipError(self.trouble)
        return self.store

    def _why_not(self, worker: str) -> str | None:
        held = self.gallery.get(worker)
        agreed = held is not None and any(one.scope == "clip" for one in held.consents)
        return None if agreed else NO_CONSENT


def open_clips(
    settings: KioskSettings, gallery: Gallery, journal: Journal, now: Callable[[], str], wake: Callable[[], None]
) -> Clips:
    """Open the clips that the settings place; a folder that cannot be used costs clips, not punches."""
    key = gallery_key(settings.clip_key_file)
    try:
        store = ClipStore(settings.clips_folder, key.load, low_space_bytes=settings.low_space_mib << 20)
    except ClipError as error:
        log.error("clips_unavailable", reason=str(error))
        return Clips(None, gallery, journal, now, trouble=f"{error.code}: {error}", wake=wake)
    return Clips(store, gallery, journal, now, wake=wake)


def _none(why: str) -> dict[str, JsonValue]:
    return {"clip": None, "clip_why": why[:400]}

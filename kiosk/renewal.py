"""Keeps the certificate for the broker fresh, in a thread of its own; punching never waits for it or depends on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from evidence.errors import EvidenceError
from evidence.keys import SigningKey
from kiosk.errors import KioskError
from kiosk.joined import Joined
from kiosk.provisioning import certificate_ends, renew

RENEW_WITHIN = timedelta(days=10)  # of thirty: ten days of tries before anybody notices
RETRY_S = 900.0
OFFLINE_S = 600.0  # so long without the broker, and the certificate may be why, whatever this clock says of its date

log = structlog.get_logger(__name__)


class CertificateKeeper:
    """One terminal's certificate; `tick` is called now and then and returns at once. None to renew: it does nothing."""

    def __init__(
        self, joined: Joined | None, folder: Path, key: SigningKey, *, clock_known: Callable[[], bool]
    ) -> None:
        self._joined, self._folder, self._key, self._clock_known = joined, folder, key, clock_known
        self._tried_s: float | None = None
        self._offline_since_s: float | None = None
        self._thread: threading.Thread | None = None
        self._trouble: str | None = None

    def tick(self, now_s: float, *, online: bool) -> None:
        """Renew if it is time. `now_s`: monotonic seconds."""
        if self._joined is None or (self._thread is not None and self._thread.is_alive()):
            return
        if online:
            self._offline_since_s = None
        elif self._offline_since_s is None:
            self._offline_since_s = now_s
        offline = self._offline_since_s is not None and now_s - self._offline_since_s >= OFFLINE_S
        late = self._tried_s is None or now_s - self._tried_s >= RETRY_S
        if late and (offline or self._ends_soon()):
            self._tried_s = now_s
            self._thread = threading.Thread(target=self._renew, name="certificate", daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for a renewal that is under way."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def trouble(self) -> str | None:
        """Why the broker will not or does not let this terminal in, where the certificate is why; else None."""
        if self._joined is None:
            return None
        try:
            ended = certificate_ends(self._folder) <= datetime.now(UTC)
        except (OSError, ValueError) as error:
            return f"certificate_unreadable: {error}; join again"[:400]
        if not ended or not self._clock_known():
            return None
        return f"certificate_ended: punches are kept; {self._trouble or 'a new one is being asked for'}"[:400]

    def _ends_soon(self) -> bool:
        try:
            return certificate_ends(self._folder) - datetime.now(UTC) < RENEW_WITHIN
        except (OSError, ValueError):
            return True

    def _renew(self) -> None:
        assert self._joined is not None
        try:
            ends = renew(self._joined, self._folder, self._key, check_dates=self._clock_known())
        except (KioskError, EvidenceError, OSError, ValueError) as error:
            self._trouble = f"{getattr(error, 'code', 'error')}: {error}"
            log.warning("certificate_not_renewed", why=self._trouble)
            return
        self._trouble = None
        log.info("certificate_renewed", ends=ends.isoformat())

"""Attempts at an open spot check in a small file of the terminal's own, so that a restart does not lose them.

No name and no picture: the call's id, and of each attempt when, how and with what verdict.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from kiosk.durable_file import replace_file
from kiosk.spot_check import Attempt

log = structlog.get_logger(__name__)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str
    attempts: list[dict[str, JsonValue]]


class AttemptsFile:
    """kiosk.spot_check.AttemptsKept in the file at `path`, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, command: str, attempts: list[Attempt]) -> None:
        """Replace the file whole or not at all."""
        content = _Content(command=command, attempts=attempts).model_dump_json()
        try:
            replace_file(self._path, content.encode())
        except OSError as error:
            log.error("attempt_not_kept", reason=f"{self._path}: {error.strerror}")

    def of(self, command: str) -> list[Attempt]:
        """Return the attempts at this call; none where the file is of another, or cannot be read."""
        try:
            held = _Content.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            log.error("attempts_unreadable", path=str(self._path), reason=type(error).__name__)
            return []
        return held.attempts if held.command == command else []

    def drop(self) -> None:
        """Remove the file."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.error("attempts_not_removed", reason=f"{self._path}: {error.strerror}")

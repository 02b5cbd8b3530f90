"""What was erased, in a file beside the database: a backup that is restored must not bring it back.

One line of JSON an erasure: its id, the hashes of the erased events and the mark of the worker (`marks`). An event has
a nonce of 128 bits, so a hash confirms no guess of what it said; a mark takes the collector's seal key to try one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from collector.errors import SettingsError


class Keepsake:
    """The file `erasures.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, erasure: str, hashes: list[str]) -> None:
        """Write an erasure down; it is on the disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = json.dumps({"erasure": erasure, "hashes": hashes}, separators=(",", ":")) + "\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":  # a power cut left half a line: end it
                line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Mapping[str, str]:
        """Return the erased events and the marks, each to its erasure. Raises SettingsError where it cannot be read.

        A last line that a power cut has cut in two belongs to an erasure that was not committed.
        """
        found: dict[str, str] = {}
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be read: {error}") from error
        for line in lines:
            try:
                one = json.loads(line)
                found |= dict.fromkeys(one["hashes"], one["erasure"])
            except (ValueError, KeyError, TypeError):
                continue
        return found

"""The identity keys of Eddystone-EID beacons, in a file of their own, mode 0600: who reads it can play every badge.

TOML, one table a beacon, under the name that settings write as `eid:NAME`:
`[badge-17]`, `key = "32 hex digits"`, `exponent = 10`, `counter_zero = 2026-11-01T00:00:00Z` (its counter stood at 0).
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evidence.events import Name
from kiosk.errors import KeyFileExposed, KeyFileUnreadable
from kiosk.sensors.eddystone_eid import HIGHEST_EXPONENT, EidBeacon

MOST_BYTES = 1 << 20  # some ten thousand beacons
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class EidKey(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$", repr=False)]
    exponent: Annotated[int, Field(ge=0, le=HIGHEST_EXPONENT)]
    counter_zero: AwareDatetime


_FILE: TypeAdapter[dict[Name, EidKey]] = TypeAdapter(dict[Name, EidKey], config=ConfigDict(hide_input_in_errors=True))


def load_eid_keys(path: Path) -> tuple[EidBeacon, ...]:
    """Read the file. Raises KeyFileExposed or KeyFileUnreadable, whose messages never show a key."""
    try:
        tables = _FILE.validate_python(tomllib.loads(_read(path).decode()))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise KeyFileUnreadable(f"{path}: {where}: {first['msg']}") from None  # a cause could carry a key
    except ValueError:
        raise KeyFileUnreadable(f"{path} is not TOML in UTF-8; see docs/presence.md") from None
    return tuple(
        EidBeacon(name, bytes.fromhex(one.key), one.exponent, int(one.counter_zero.timestamp()))
        for name, one in tables.items()
    )


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileUnreadable(f"{path}: {error.strerror}; the terminal's user must be able to read it") from error
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise KeyFileUnreadable(f"{path} is not a file")
        if info.st_uid not in (os.geteuid(), 0) or info.st_mode & _FOR_OTHERS:
            raise KeyFileExposed(
                f"{path} is open to others than the terminal's user; run `chmod 600 {path}`, and if anybody may have "
                "read it, give the badges new keys"
            )
        return os.read(handle, MOST_BYTES)
    finally:
        os.close(handle)

"""Whose badge has which code: a CSV file of `code,employee code` lines, read anew with each badge.

Without a file the code on the badge is the employee code. RFID badges come with numbers of their own.
"""

from __future__ import annotations

import csv
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evidence.events import WorkerCode
from kiosk.errors import BadgeCodesUnreadable

_worker: TypeAdapter[str] = TypeAdapter(WorkerCode)


def worker_of(code: str, file: Path | None) -> str | None:
    """Return the employee code of the badge `code`; None for one that the file does not have.

    Raises BadgeCodesUnreadable, which names the line: a file that is wrong in one place is not believed in another.
    """
    return code if file is None else read_codes(file).get(code)


def read_codes(file: Path) -> dict[str, str]:
    """Read the whole file; empty lines and lines that begin with # are left out. Raises BadgeCodesUnreadable."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadgeCodesUnreadable(f"{file} cannot be read: {error}") from error
    codes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in next(csv.reader([line]), [])]
        if len(fields) != 2 or not all(fields):
            raise BadgeCodesUnreadable(f"{file}, line {number}: a line is code,employee code")
        code, worker = fields
        if code in codes:
            raise BadgeCodesUnreadable(f"{file}, line {number}: the badge {code} is in an earlier line too")
        try:
            codes[code] = _worker.validate_python(worker)
        except ValidationError as error:
            raise BadgeCodesUnreadable(f"{file}, line {number}: {worker!r} is no employee code") from error
    return codes

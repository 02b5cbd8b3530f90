"""A bundle on disk and the trust file to hold it against: read, verified, its receipts looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evidence.bundle import CheckToken, Progress, verify_bundle
from evidence.bundle_receipt import ReceiptFound, check_punch_receipt
from evidence.bundle_report import Report
from evidence.trust import BundleTrust
from zaigang.trust import TrustError, trust_file_value

_MAGIC = b"PK\x03\x04"
_SUFFIXES = (".zip", ".zaigang")


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """What one file came to."""

    name: str
    report: Report
    receipts: list[ReceiptFound]

    @property
    def ok(self) -> bool:
        """True if bundle and receipts hold."""
        return self.report.ok and all(one.ok for one in self.receipts)


def is_bundle(path: Path) -> bool:
    """Say whether a file is a bundle, or was one before somebody damaged its beginning. Raises OSError."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_bundle_trust(path: Path) -> BundleTrust:
    """Read a trust file for bundles. Raises TrustError with the field that is wrong."""
    value = trust_file_value(path)
    try:
        return BundleTrust.model_validate(value)
    except ValidationError as error:
        one: Any = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in one["loc"]) or "the file"
        what = "is missing" if one["type"] == "missing" else str(one["msg"]).removeprefix("Value error, ")
        raise TrustError(f"the trust file {path} cannot be used for a bundle: {where}: {what}") from error


def check_bundle(
    path: Path,
    trust: BundleTrust,
    receipts: list[str],
    check_token: CheckToken | None = None,
    progress: Progress | None = None,
) -> CheckedBundle:
    """Verify one file. Raises OSError."""
    report = verify_bundle(path.read_bytes(), trust, check_token, progress)
    return CheckedBundle(str(path), report, [check_punch_receipt(text, trust, report) for text in receipts])

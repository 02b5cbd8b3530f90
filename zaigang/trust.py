"""Whom a verifier trusts: the public keys of terminals and collector, in a file that comes from outside the evidence.

Format: `{"devices": {"gate-1": ["ed25519:…"]}, "collector": {"receipt": "ed25519:…"}}`. A device may have several
keys, one a chain; `collector` is needed only to check a collector's receipt, `handovers` where its key was replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evidence.canonical import canonical, parse_strict
from evidence.errors import EvidenceError
from evidence.events import Name
from evidence.handover import parse_handover
from evidence.key_history import CountingKey, keys_over_time
from evidence.keys import PublicKey
from evidence.trust import HandoverObject, KeyText, public_keys

FOR_BUNDLES = frozenset({"origin", "checkpoint_keys", "witnesses", "tsa", "checkpoints"})  # evidence/trust.py
MAX_TRUST_BYTES = 16 * 1024 * 1024  # ten thousand terminals with ten keys each fit


class TrustError(Exception):
    """The trust file cannot be used; the message says where and why."""


class CollectorKeys(BaseModel):
    """The collector's keys, one a purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    receipt: KeyText | Annotated[list[KeyText], Field(min_length=1)]


class Trust(BaseModel):
    """The keys that somebody wrote down at provisioning, on paper or otherwise apart from the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    devices: Annotated[dict[Name, Annotated[list[KeyText], Field(min_length=1)]], Field(min_length=1)]
    collector: CollectorKeys | None = None
    handovers: list[HandoverObject] = []

    def device_keys(self) -> dict[str, tuple[PublicKey, ...]]:
        """The keys of each device, parsed."""
        return {device: tuple(PublicKey.parse(one) for one in texts) for device, texts in self.devices.items()}

    def receipt_keys(self) -> tuple[CountingKey, ...]:
        """The keys that may have signed the collector's receipts. Raises TrustError where the file names none."""
        if self.collector is None:
            raise TrustError(
                'the trust file names no collector key; add {"collector": {"receipt": "ed25519:…"}} to check a receipt'
            )
        named = public_keys(self.collector.receipt)
        try:
            return keys_over_time("receipt", named, [parse_handover(canonical(one)) for one in self.handovers])
        except EvidenceError as error:
            raise TrustError(f"the trust file's handovers contradict each other: {error}") from error


def read_trust(path: Path) -> Trust:
    """Read a trust file. Raises TrustError."""
    value = trust_file_value(path)
    try:
        return Trust.model_validate(_without_bundle_fields(value))
    except ValidationError as error:
        raise TrustError(f"the trust file {path} cannot be used: {_friendly(error)}") from error


def trust_file_value(path: Path) -> Any:
    """Return the JSON value that a trust file holds, whatever it is. Raises TrustError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST_BYTES + 1)
    except OSError as error:
        raise TrustError(f"the trust file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_TRUST_BYTES:
        raise TrustError(f"the trust file {path} is larger than {MAX_TRUST_BYTES} bytes")
    try:
        return parse_strict(data)
    except EvidenceError as error:
        raise TrustError(f"the trust file {path} is not JSON: {error}") from error


def _without_bundle_fields(value: Any) -> Any:
    """What only a bundle is held against says nothing about a single chain: one trust file serves both."""
    if not isinstance(value, dict):
        return value
    kept = {name: one for name, one in value.items() if name not in FOR_BUNDLES}
    if isinstance(kept.get("collector"), dict):
        kept["collector"] = {name: one for name, one in kept["collector"].items() if name != "command"}
    return kept


def _friendly(error: ValidationError) -> str:
    one: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in one["loc"])
    match one["type"]:
        case "missing":
            return f"{where!r} is missing"
        case "extra_forbidden":
            return f"{where!r} is not a field of a trust file (it has devices and collector)"
        case "value_error":
            return f"{where}: {str(one['msg']).removeprefix('Value error, ')}"
        case "too_short":
            return f"{where!r} names no key"
    return f"{where or 'the file'}: {one['msg']}"

"""What a bundle says of itself: its scope, its files, its chains, whose keys counted when; and the collector's seal.

The manifest is canonical JSON in a file of its own, since it grows with the number of terminals; the seal is a DSSE
envelope over its hash.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from evidence.bundle_zip import is_name
from evidence.canonical import canonical, parse_canonical
from evidence.envelope import Envelope, sign
from evidence.errors import InvalidManifest, InvalidSeal, UnknownKey
from evidence.events import Counter, Fact, Hex128, HexDigest, Name, UtcTime, WorkerCode
from evidence.key_history import CountingKey, signer_of
from evidence.keys import PublicKey, SigningKey
from evidence.trust import KeyText, Origin

BUNDLE_TYPE = "application/vnd.zaigang.bundle.v1+json"
MANIFEST, SEAL = "manifest.json", "seal.json"


class _Exactly(Fact):
    """An object of the manifest: what it says beyond its fields, no verifier would look at."""

    model_config = ConfigDict(extra="forbid")


class Scope(_Exactly):
    """What was asked for: one site or one worker, and a period (until is exclusive)."""

    site: Name | None
    worker: WorkerCode | None
    since: UtcTime
    until: UtcTime

    @model_validator(mode="after")
    def _one_question(self) -> Scope:
        if (self.site is None) == (self.worker is None):
            raise ValueError("a bundle is about one site or one worker")
        if self.since >= self.until:
            raise ValueError("a period ends after it begins")
        return self


class FileEntry(_Exactly):
    """One file: name, size in bytes, SHA-256."""

    name: str
    size: Counter
    sha256: HexDigest


class ChainEntry(_Exactly):
    """One chain and its last event in the ledger when the bundle was made, whether that is shown or not."""

    device: Name
    chain: Hex128
    head_seq: Counter
    head_hash: HexDigest


class KeyEntry(_Exactly):
    """A key that counts for a device from `first_seq` to `last_seq` (null: on) of `chain` (null: of every chain)."""

    device: Name
    key: KeyText
    chain: Hex128 | None
    first_seq: Counter
    last_seq: Counter | None
    added_at: UtcTime


class Revocation(_Exactly):
    """Nothing that the ledger took from this device at `from_index` or later is verified."""

    device: Name
    at: UtcTime
    from_index: Counter


class Manifest(_Exactly):
    """Everything that the collector states in a bundle and no event does."""

    v: Literal[1]
    origin: Origin
    made_at: UtcTime
    scope: Scope
    chains: tuple[ChainEntry, ...]
    keys: tuple[KeyEntry, ...]
    revocations: tuple[Revocation, ...]
    files: Annotated[tuple[FileEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once_each(self) -> Manifest:
        names = [one.name for one in self.files]
        if names != sorted(set(names)) or not all(map(is_name, names)) or {MANIFEST, SEAL} & set(names):
            raise ValueError("files stand once each, by name, without the manifest and the seal")
        chains = [(one.device, one.chain) for one in self.chains]
        if chains != sorted(set(chains)):
            raise ValueError("chains stand once each, by device and id")
        return self

    def encode(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read a manifest. Raises an EncodingError or InvalidManifest."""
        try:
            return cls.model_validate(parse_canonical(data))
        except ValidationError as error:
            one = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in one["loc"]) or "manifest"
            raise InvalidManifest(f"the manifest cannot be used: {where}: {one['msg']}") from error

    def key_for(self, device: str, chain: str, seq: int) -> PublicKey:
        """Return the key that counts at this place. Raises UnknownKey.

        A key registered for exactly this chain goes before one for every chain; among equals the last in the list.
        """
        best: KeyEntry | None = None
        for one in self.keys:
            if one.device != device or one.chain not in (None, chain) or seq < one.first_seq:
                continue
            if one.last_seq is not None and seq > one.last_seq:
                continue
            if best is None or one.chain is not None or best.chain is None:
                best = one
        if best is None:
            raise UnknownKey(f"the manifest names no key of {device} for chain {chain[:8]}… at seq {seq}")
        return PublicKey.parse(best.key)

    def revoked_from(self, device: str) -> int | None:
        """The ledger index from which nothing of this device is verified, or None."""
        return min((one.from_index for one in self.revocations if one.device == device), default=None)


def seal(manifest: bytes, origin: str, key: SigningKey) -> bytes:
    """Return the collector's seal over a manifest."""
    statement = {"manifest": hashlib.sha256(manifest).hexdigest(), "origin": origin, "v": 1}
    return sign(BUNDLE_TYPE, canonical(statement), key).encode()


def check_seal(data: bytes, manifest: bytes, origin: str, keys: tuple[CountingKey, ...]) -> CountingKey:
    """Check that one of `keys` sealed exactly this manifest; return it: whether it still counted, the tree's size says.

    Raises an EncodingError, a SignatureError, InvalidSeal.
    """
    envelope = Envelope.decode(data)
    sealer = signer_of(envelope, keys)
    statement = parse_canonical(envelope.verify(sealer.key, BUNDLE_TYPE))
    if not isinstance(statement, dict) or statement.keys() != {"manifest", "origin", "v"}:
        raise InvalidSeal("the seal is no statement about a manifest")
    if statement["manifest"] != hashlib.sha256(manifest).hexdigest():
        raise InvalidSeal("the collector sealed another manifest than the one in the bundle")
    if statement["origin"] != origin:
        raise InvalidSeal(f"the seal is for the ledger {str(statement['origin'])[:80]!r}, you trust {origin!r}")
    return sealer

"""Putting a bundle together: what the collector read from its ledger becomes the one ZIP that it has.

Pure: every envelope, proof and checkpoint is handed in; nothing is checked here that `verify_bundle` checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evidence.bundle_checkpoints import CONSISTENCY, FIRST, LAST, write_consistency
from evidence.bundle_index import Line, write_index
from evidence.bundle_manifest import (
    MANIFEST,
    SEAL,
    ChainEntry,
    FileEntry,
    KeyEntry,
    Manifest,
    Revocation,
    Scope,
    seal,
)
from evidence.bundle_seen import SEEN, Proofs, write_seen
from evidence.bundle_zip import pack
from evidence.keys import SigningKey


@dataclass(frozen=True, slots=True)
class ChainPart:
    """One chain: where it ends, a line for every seq, the envelopes of the lines that show one."""

    entry: ChainEntry
    lines: Sequence[Line]
    envelopes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a bundle is made of."""

    origin: str
    made_at: str
    scope: Scope
    chains: Sequence[ChainPart]
    keys: Sequence[KeyEntry]
    revocations: Sequence[Revocation]
    first: bytes  # signed notes
    last: bytes
    consistency: tuple[bytes, ...]
    policies: Sequence[bytes]  # canonical documents
    timestamps: Sequence[bytes] = ()  # RFC 3161 tokens over `last`
    seen: Proofs = field(default_factory=dict)  # by size: proofs from the checkpoints that coverage events carry
    others: Mapping[str, bytes] = field(default_factory=dict)  # README.…, not-authoritative/…


def make_bundle(parts: Parts, key: SigningKey) -> bytes:
    """Return the bundle, sealed with the collector's receipt key. Raises TooLarge."""
    files = {**parts.others, FIRST: parts.first, LAST: parts.last, CONSISTENCY: write_consistency(parts.consistency)}
    if parts.seen:
        files[SEEN] = write_seen(parts.seen)
    for policy in parts.policies:
        files[f"policies/{hashlib.sha256(policy).hexdigest()}.json"] = policy
    for number, token in enumerate(parts.timestamps, 1):
        files[f"timestamps/{number:04d}.tsr"] = token
    for chain in parts.chains:
        folder = f"chains/{chain.entry.device}/{chain.entry.chain}"
        files[f"{folder}.index"] = write_index(chain.lines)
        files[f"{folder}.jsonl"] = b"".join(envelope + b"\n" for envelope in chain.envelopes)
    names = sorted(files)
    manifest = Manifest(
        v=1,
        origin=parts.origin,
        made_at=parts.made_at,
        scope=parts.scope,
        chains=tuple(sorted((chain.entry for chain in parts.chains), key=lambda one: (one.device, one.chain))),
        keys=tuple(parts.keys),
        revocations=tuple(parts.revocations),
        files=tuple(
            FileEntry(name=name, size=len(files[name]), sha256=hashlib.sha256(files[name]).hexdigest())
            for name in names
        ),
    ).encode()
    sealed = seal(manifest, parts.origin, key)
    return pack([(MANIFEST, manifest), (SEAL, sealed), *((name, files[name]) for name in names)])

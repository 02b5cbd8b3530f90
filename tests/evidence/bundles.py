"""A small site to make bundles of: two terminals, a worker's day, one ledger; the same bytes each time.

`Site.parts()` is what an honest collector hands over; tests change it and seal it again with `bundle(parts)`, as an
operator who owns every key of the collector could.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from evidence.bundle_index import Erased, Line, Missing, Shown, Withheld
from evidence.bundle_make import ChainPart, Parts, make_bundle
from evidence.bundle_manifest import ChainEntry, KeyEntry, Revocation, Scope, seal
from evidence.bundle_tree import leaf_of
from evidence.bundle_zip import pack, unpack
from evidence.canonical import canonical, parse_canonical
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import EVENT_TYPE, STATEMENT_TYPE, Envelope, sign
from evidence.events import ClockReading, Event, parse_event
from evidence.handover import sign_handover
from evidence.keys import Ed25519Key, Es256Key, PublicKey, SigningKey, low_s
from evidence.merkle import consistency_proof, inclusion_proof, root_of
from evidence.note import Note, NoteSigner, SignatureType
from evidence.receipt import PunchReceipt
from evidence.trust import BundleTrust
from tests.evidence.chains import ed25519_key

ORIGIN = "zaigang.example/harbour"
POLICY = canonical({"name": "outdoor", "required": ["face_match", "gps"]})
POLICY_HASH = hashlib.sha256(POLICY).hexdigest()
CHAINS = {"gate-1": "c1" * 16, "gate-2": "c2" * 16, "collector": "cc" * 16}
SINCE, UNTIL = "2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z"


@dataclass(frozen=True)
class SteadyEs256:
    """An ES256 key whose signatures come out the same each time (RFC 6979)."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        return Es256Key(self.private).public

    def sign(self, message: bytes) -> bytes:
        raw = self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return low_s(*decode_dss_signature(raw))


LOG, RECEIPT, WITNESS = ed25519_key(21), ed25519_key(22), ed25519_key(23)
OTHER = ed25519_key(66)  # nobody's
LATER_LOG, LATER_RECEIPT = ed25519_key(31), ed25519_key(32)  # to which the first two are handed over
STATEMENT, LATER_STATEMENT, LAST_STATEMENT = (ed25519_key(seed) for seed in (24, 34, 35))  # of the collector's chain
HANDED_OVER_AT = 9  # entries of the ledger then: a day's
HANDOVERS = [
    json.loads(sign_handover(purpose, old, new, "2026-03-01T01:00:00.000Z", HANDED_OVER_AT))
    for purpose, old, new in (("receipt", RECEIPT, LATER_RECEIPT), ("checkpoint", LOG, LATER_LOG))
]
STATED_AT = 11  # the ledger entry of the rotation in `a_day_of_two_keys`
STATEMENT_HANDOVER = json.loads(
    sign_handover("statement", STATEMENT, LATER_STATEMENT, "2026-03-01T00:57:00.000Z", STATED_AT)
)
LOG_SIGNER = NoteSigner(ORIGIN, SignatureType.ED25519, LOG)
LATER_SIGNER = NoteSigner(ORIGIN, SignatureType.ED25519, LATER_LOG)
WITNESS_SIGNER = NoteSigner("witness.example/council", SignatureType.COSIGNATURE_V1, WITNESS)


@dataclass
class Leaf:
    """One entry of the ledger."""

    envelope: bytes
    salt: bytes
    received_at: str
    device: str
    hash: str
    seq: int

    @property
    def leaf(self) -> bytes:
        return leaf_of(self.salt, self.envelope)


@dataclass
class Site:
    """Terminals that sign, a ledger that takes it, bundles of it."""

    keys: dict[str, SigningKey] = field(
        default_factory=lambda: {
            "gate-1": ed25519_key(1),
            "gate-2": SteadyEs256(ec.derive_private_key(7, ec.SECP256R1())),
            "collector": STATEMENT,
        }
    )
    entries: list[Leaf] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=lambda: dict(CHAINS))

    def append(self, device: str, kind: str, body: dict[str, Any], *, minute: int, **changes: Any) -> Leaf:
        """Sign the next event of a terminal and take it into the ledger a second later."""
        seq, prev = self.next_of(device)
        leaf = self.entry(self.event(device, seq, prev, kind, body, minute=minute, **changes), self.keys[device])
        self.take(leaf)
        return leaf

    def next_of(self, device: str) -> tuple[int, str | None]:
        if device not in self.heads:
            return 0, None
        seq, digest = self.heads[device]
        return seq + 1, digest

    def event(
        self, device: str, seq: int, prev: str | None, kind: str, body: dict[str, Any], *, minute: int, **changes: Any
    ) -> Event:
        fields: dict[str, Any] = {
            "id": f"018f0000-0000-7000-8{len(device):03x}-{ord(device[-1]):04x}{seq:08x}",
            "device": device,
            "chain": self.chains[device],
            "seq": seq,
            "prev": prev,
            "kind": kind,
            "time": f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00.000Z",
            "tz": "Asia/Shanghai",
            "clock": ClockReading(source="gps", synced=True, error_ms=20),
            "boot": ("bc" if device == "collector" else f"b{device[-1]}") * 16,
            "mono_us": minute * 60_000_000,
            "site": "collector" if device == "collector" else "harbour",
            "nonce": hashlib.sha256(f"{device} {seq}".encode()).hexdigest()[:32],
            "body": body,
        }
        return Event(**{**fields, **changes})

    def entry(self, event: Event, *keys: SigningKey) -> Leaf:
        envelope = sign(STATEMENT_TYPE if event.device == "collector" else EVENT_TYPE, event.payload(), *keys)
        salt = hashlib.sha256(f"salt {envelope.hash}".encode()).digest()[:16]
        return Leaf(
            envelope.encode(), salt, event.time.replace(":00.000Z", ":01.000Z"), event.device, envelope.hash, event.seq
        )

    def take(self, leaf: Leaf) -> None:
        self.entries.append(leaf)
        self.heads[leaf.device] = (leaf.seq, leaf.hash)

    def open(self, device: str, minute: int) -> None:
        body = {"key": self.keys[device].public.text(), "software": "zaigang 0.1.0"}
        self.append(device, "device.enrolled", body, minute=minute)
        policy = {"name": "outdoor", "required": ["face_match", "gps"]}
        self.append(device, "config.applied", {"policy": policy, "policy_hash": POLICY_HASH}, minute=minute)

    def punch(self, device: str, worker: str, log_type: str, *, minute: int, **body: Any) -> Leaf:
        return self.append(device, "punch.recorded", punch_body(worker, log_type, minute) | body, minute=minute)

    def coverage(self, device: str, minute: int, seen: Note | None = None, **more: Any) -> None:
        body = coverage_body(minute) | ({} if seen is None else {"checkpoint": seen.encode().decode()}) | more
        self.append(device, "coverage", body, minute=minute)

    # --- what an honest collector hands over

    @property
    def leaves(self) -> list[bytes]:
        return [one.leaf for one in self.entries]

    def checkpoint(self, size: int | None = None, signer: NoteSigner = LOG_SIGNER) -> Note:
        leaves = self.leaves[:size]
        return sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root_of(leaves)), signer)

    def line(self, index: int) -> Shown:
        leaf = self.entries[index]
        proof = inclusion_proof(index, len(self.entries), self.leaves)
        return Shown(leaf.seq, index, leaf.salt, leaf.received_at, (), proof)

    def chain_part(self, device: str, worker: str | None = None) -> ChainPart:
        lines: list[Line] = []
        shown: list[bytes] = []
        for index, leaf in enumerate(self.entries):
            if leaf.device != device:
                continue
            named = parse_event(Envelope.decode(leaf.envelope).payload).body.get("worker")
            if worker is not None and named not in (None, worker):
                lines.append(Withheld(leaf.seq, leaf.hash))
                continue
            lines.append(self.line(index))
            shown.append(leaf.envelope)
        seq, digest = self.heads[device]
        entry = ChainEntry(device=device, chain=self.chains[device], head_seq=seq, head_hash=digest)
        return ChainPart(entry, lines, shown)

    def parts(self, worker: str | None = None, first: int = 4) -> Parts:
        scope = Scope(site=None if worker else "harbour", worker=worker, since=SINCE, until=UNTIL)
        return Parts(
            origin=ORIGIN,
            made_at="2026-03-02T09:00:00.000Z",
            scope=scope,
            chains=[self.chain_part(device, worker) for device in sorted(self.heads)],
            keys=[
                KeyEntry(
                    device=device,
                    key=self.keys[device].public.text(),
                    chain=None,
                    first_seq=0,
                    last_seq=None,
                    added_at=SINCE,
                )
                for device in sorted(self.heads)
            ],
            revocations=[],
            first=self.checkpoint(first).encode(),
            last=self.cosigned().encode(),
            consistency=consistency_proof(first, len(self.entries), self.leaves),
            policies=[POLICY],
            others={"README.en.txt": b"What is in here.\n", "README.zh.txt": "这里有什么。\n".encode()},
        )

    def cosigned(self, signer: NoteSigner = LOG_SIGNER) -> Note:
        note = self.checkpoint(signer=signer)
        return note.adding(WITNESS_SIGNER.cosign(note.text, 1_772_400_000))

    def trust(self, **changes: Any) -> BundleTrust:
        fields: dict[str, Any] = {
            "origin": ORIGIN,
            "checkpoint_keys": [LOG_SIGNER.public.text()],
            "collector": {"receipt": RECEIPT.public.text()},
            "devices": {device: [key.public.text()] for device, key in self.keys.items()},
            "witnesses": {"keys": [WITNESS_SIGNER.public.text()], "quorum": 1},
        }
        return BundleTrust.model_validate({**fields, **changes})

    def later_trust(self, *, named: str = "later", **changes: Any) -> BundleTrust:
        """With the handovers. `named`: whether it names the keys of today or was written before and added to."""
        today = {
            "checkpoint_keys": [LATER_SIGNER.public.text()],
            "collector": {"receipt": LATER_RECEIPT.public.text()},
        }
        return self.trust(**(today if named == "later" else {}), handovers=HANDOVERS, **changes)

    def statement_trust(self, pinned: SigningKey, *, followed: bool = True) -> BundleTrust:
        """With another key of the collector's chain pinned, and `followed`: the document that leads from it."""
        trust = self.trust(handovers=[STATEMENT_HANDOVER] if followed else [])
        return trust.model_copy(update={"devices": trust.devices | {"collector": [pinned.public.text()]}})

    def receipt(self, leaf: Leaf) -> str:
        event = parse_event(Envelope.decode(leaf.envelope).payload)
        said = PunchReceipt(event.device, event.chain, event.seq, leaf.hash, event.time)
        return said.text(self.keys[event.device])


def packed_as_it_is(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A ZIP like a bundle's, whatever the names are."""
    with patch("evidence.bundle_zip.is_name", return_value=True):
        return pack(files)


def bundle(parts: Parts, key: Ed25519Key = RECEIPT) -> bytes:
    return make_bundle(parts, key)


def restated(
    data: bytes,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    *,
    files: dict[str, Callable[[bytes], bytes]] | None = None,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """The bundle with another manifest, sealed again: `change` is done to it, after `files` and `more` are in it."""
    held = unpack(data)
    stated = parse_canonical(held.pop("manifest.json"))
    held.pop("seal.json")
    held |= {name: made(held[name]) for name, made in (files or {}).items()} | (more or {})
    stated["files"] = [
        {"name": name, "sha256": hashlib.sha256(held[name]).hexdigest(), "size": len(held[name])}
        for name in sorted(held)
    ]
    change(stated)
    manifest = canonical(stated)
    first = [("manifest.json", manifest), ("seal.json", seal(manifest, ORIGIN, RECEIPT))]
    return packed_as_it_is([*first, *sorted(held.items())])


def changed_chain(parts: Parts, device: str, **changes: Any) -> Parts:
    """The parts with one chain's entry, lines or envelopes replaced."""
    chains = [replace(one, **changes) if one.entry.device == device else one for one in parts.chains]
    return replace(parts, chains=chains)


def withholding(parts: Parts, device: str, seq: int) -> Parts:
    """The parts with one event of a chain of which everything is shown withheld."""
    part = next(one for one in parts.chains if one.entry.device == device)
    hidden = Withheld(seq, Envelope.decode(part.envelopes[seq]).hash)
    lines = [*part.lines[:seq], hidden, *part.lines[seq + 1 :]]
    return changed_chain(parts, device, lines=lines, envelopes=[*part.envelopes[:seq], *part.envelopes[seq + 1 :]])


def punch_body(worker: str, log_type: str, minute: int) -> dict[str, Any]:
    return {
        "worker": worker,
        "log_type": log_type,
        "method": "face",
        "verdict": "verified",
        "checks": [{"name": "face_match", "outcome": "passed", "reason": "ok: it is the worker"}],
        "policy": POLICY_HASH,
        "receipt": "0123ABCD",
        "tapped_at": f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00.000Z",
    }


def coverage_body(minute: int) -> dict[str, Any]:
    return {
        "since": f"2026-03-01T{(minute - 15) // 60:02d}:{(minute - 15) % 60:02d}:00.000Z",
        "until": f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00.000Z",
        "seconds": 900,
        "observed_s": 900,
        "first": False,
        "last": False,
        "screen": True,
        "camera_s": 890,
        "scanner_s": None,
        "gps_s": 900,
        "uplink_s": 900,
        "frames": 9000,
        "advertisements": None,
        "unsent": 0,
    }


def a_day() -> Site:
    """gate-1: Li and Wang come and go; gate-2 (a TPM's key): Wang once."""
    site = Site()
    site.open("gate-1", 0)
    site.punch("gate-1", "W-1", "IN", minute=20)
    site.open("gate-2", 25)
    site.punch("gate-1", "W-2", "IN", minute=30)
    site.coverage("gate-1", 45)
    site.punch("gate-2", "W-2", "OUT", minute=50)
    site.punch("gate-1", "W-1", "OUT", minute=55)
    return site


def a_day_with_holes(
    first: int = 6, last: int = 7, *, audited: bool = False, entries: Any = 1, tombstones: tuple[int, ...] = (2,)
) -> tuple[Site, Parts]:
    """gate-1's seq 6 and 7 were lost and declared so, and its seq 2 was erased; both by the collector's statements.

    `audited`: a statement about something else stands before them and is withheld. `entries`: how many the erasure
    speaks of; `tombstones`: which seqs name it.
    """
    site = a_day()
    site.append(
        "collector", "collector.begun", {"keys": {"statement": site.keys["collector"].public.text()}}, minute=56
    )
    if audited:
        audit = {"who": "cli:li", "action": "workers.changed", "target": "", "columns": ["name"], "worker": "W-2"}
        site.append("collector", "audit.entry", audit, minute=57)
    gap = {"device": "gate-1", "chain": CHAINS["gate-1"], "first": first, "last": last, "next_prev": "ab" * 32}
    declared = site.append("collector", "gap.declared", {**gap, "reason": "unreadable", "by": "Zhao"}, minute=57)
    erasure = {"erasure": "ee" * 16, "scope": "all", "reason": "asked for", "by": "Zhao", "entries": entries}
    authorised = site.append("collector", "worker.erasure", {**erasure, "digest": "cd" * 32}, minute=58)
    event = site.event("gate-1", 8, "ab" * 32, "noted", {}, minute=59)
    site.take(site.entry(event, site.keys["gate-1"]))
    parts = withholding(site.parts(), "collector", 1) if audited else site.parts()
    index = next(at for at, one in enumerate(parts.chains) if one.entry.device == "gate-1")
    part = parts.chains[index]
    lines = list(part.lines)
    for seq, tomb in enumerate(part.lines):
        if tomb.seq in tombstones and isinstance(tomb, Shown):
            leaf = site.entries[tomb.leaf_index]
            by = site.entries.index(authorised)
            lines[seq] = Erased(tomb.seq, tomb.leaf_index, leaf.leaf, leaf.hash, by, tomb.proof)
    lines.insert(-1, Missing(6, 7, site.entries.index(declared)))
    envelopes = [one for line, one in zip(part.lines, part.envelopes, strict=True) if line.seq not in tombstones]
    return site, changed_chain(parts, "gate-1", lines=lines, envelopes=envelopes)


def a_watched_day(
    seen: Callable[[Site, int], Note] = lambda site, size: site.checkpoint(size),
    *,
    refused: Note | None = None,
    more: Callable[[Site], dict[str, Any]] = lambda _: {},
) -> tuple[Site, Parts]:
    """gate-1 and gate-2 were shown checkpoints over the first 5 and 9 entries, and their coverage carries them.

    `seen` makes what they were shown; `refused` is what gate-1 refused in the end; `more` is said in gate-1's last
    coverage and in its refusal, too.
    """
    site = a_day()
    first, second = seen(site, 5), seen(site, 9)
    site.coverage("gate-1", 56, first)
    site.coverage("gate-2", 57, first)
    site.punch("gate-1", "W-1", "IN", minute=57)
    site.coverage("gate-1", 58, second, **more(site))
    sizes = [5, 9]
    if refused is not None:
        body = {
            "held": second.encode().decode(),
            "shown": refused.encode().decode(),
            "reason": "split_view: other",
        } | more(site)
        site.append("gate-1", "checkpoint.refused", body, minute=59)
        sizes.append(Checkpoint.parse(refused.text).size)
    return site, replace(site.parts(), seen=proofs_from(site, *sizes))


def proofs_from(site: Site, *sizes: int) -> dict[int, tuple[bytes, ...]]:
    return {one: consistency_proof(one, len(site.entries), site.leaves) for one in sizes if one <= len(site.entries)}


def another_tree(size: int, signer: NoteSigner = LOG_SIGNER) -> Note:
    """What an operator shows somebody else: as many entries, and not these."""
    leaves = [hashlib.sha256(f"another {n}".encode()).digest() for n in range(size)]
    return sign_checkpoint(Checkpoint(ORIGIN, size, root_of(leaves)), signer)


def a_day_after_the_handovers() -> tuple[Site, Parts]:
    """One more punch since the keys of receipts and checkpoints were handed over; `first` is by the old key."""
    site = a_day()
    site.punch("gate-1", "W-1", "IN", minute=58)
    parts = replace(site.parts(first=HANDED_OVER_AT), last=site.cosigned(LATER_SIGNER).encode())
    return site, parts


def a_gap_at_the_end(head_hash: str = "ab" * 32) -> tuple[Site, Parts]:
    """gate-1's seq 6 and 7 are declared missing, and nothing after them has entered the ledger yet."""
    site = a_day()
    keys = {"keys": {"statement": site.keys["collector"].public.text()}}
    site.append("collector", "collector.begun", keys, minute=56)
    gap = {"device": "gate-1", "chain": CHAINS["gate-1"], "first": 6, "last": 7, "next_prev": "ab" * 32}
    declared = site.append("collector", "gap.declared", {**gap, "reason": "unreadable", "by": "Zhao"}, minute=57)
    parts = site.parts()
    part = next(one for one in parts.chains if one.entry.device == "gate-1")
    entry = part.entry.model_copy(update={"head_seq": 7, "head_hash": head_hash})
    lines = [*part.lines, Missing(6, 7, site.entries.index(declared))]
    return site, changed_chain(parts, "gate-1", entry=entry, lines=lines)


def a_revoked_day(stated: Any = None, *, approved: str | None = None) -> tuple[Site, Parts]:
    """gate-1 was revoked after the day; two more punches came, marked. `stated`: from which entry the collector says.

    `approved`: the collector also states that it let gate-1 in with this key.
    """
    site = a_day()
    keys = {"keys": {"statement": site.keys["collector"].public.text()}}
    site.append("collector", "collector.begun", keys, minute=56)
    if approved is not None:
        body = {"device": "gate-1", "chain": None, "key": approved, "by": "Zhao"}
        site.append("collector", "device.approved", body, minute=56)
    start = len(site.entries)
    body = {"device": "gate-1", "from_index": start if stated is None else stated, "by": "Zhao"}
    site.append("collector", "device.revoked", body, minute=57)
    site.punch("gate-1", "W-1", "IN", minute=58)
    site.punch("gate-1", "W-1", "OUT", minute=59)
    return site, revoked_from(site.parts(), start)


def revoked_from(parts: Parts, start: int) -> Parts:
    """The parts of a bundle whose manifest has gate-1 revoked from this entry on, its events marked accordingly."""
    part = next(one for one in parts.chains if one.entry.device == "gate-1")
    lines = [
        replace(one, flags=("after_revocation",) if one.leaf_index >= start else ()) if isinstance(one, Shown) else one
        for one in part.lines
    ]
    return replace(changed_chain(parts, "gate-1", lines=lines), revocations=[revocation("gate-1", start)])


def revocation(device: str, from_index: int) -> Revocation:
    return Revocation(device=device, at="2026-03-01T12:00:00.000Z", from_index=from_index)


@dataclass(frozen=True)
class Rotation:
    """One switch of the key that signs the collector's chain, and what an operator made of it."""

    old: SigningKey = STATEMENT
    new: SigningKey = LATER_STATEMENT
    signers: tuple[SigningKey, ...] | None = None  # None: both, as it must be
    named: tuple[Any, Any] | None = None  # `old` and `new` as the body names them; None: as they are

    def body(self) -> dict[str, Any]:
        old, new = self.named or (self.old.public.text(), self.new.public.text())
        return {"purpose": "statement", "old": old, "new": new}


def a_day_of_two_keys(
    *rotations: Rotation, before: int = 1, signed: SigningKey = LATER_STATEMENT, keys: list[KeyEntry] | None = None
) -> tuple[Site, Parts]:
    """The collector's chain: begun, `before` approvals, the rotations, a revocation of gate-1 by the key `signed`.

    `keys`: of the collector, as the manifest has them; None: as the rotations say.
    """
    site = a_day()
    site.append("collector", "collector.begun", {"keys": {"statement": STATEMENT.public.text()}}, minute=56)
    approved = {"device": "gate-1", "chain": None, "key": site.keys["gate-1"].public.text(), "by": "Zhao"}
    for _ in range(before):
        site.append("collector", "device.approved", approved, minute=56)
    said = [statement_key_entry(STATEMENT, 0)]
    for one in rotations:
        seq, prev = site.next_of("collector")
        event = site.event("collector", seq, prev, "collector.key_rotated", one.body(), minute=57)
        site.take(site.entry(event, *(one.signers or (one.old, one.new))))
        said.append(statement_key_entry(one.new, seq + 1))
    start = len(site.entries)
    site.keys["collector"] = signed
    body = {"device": "gate-1", "from_index": start, "by": "Zhao"}
    site.append("collector", "device.revoked", body, minute=57)
    site.keys["collector"] = STATEMENT
    site.punch("gate-1", "W-1", "IN", minute=58)
    parts = revoked_from(site.parts(), start)
    others = [one for one in parts.keys if one.device != "collector"]
    return site, replace(parts, keys=[*others, *(said if keys is None else keys)])


def statement_key_entry(key: SigningKey, first_seq: int) -> KeyEntry:
    return KeyEntry(
        device="collector", key=key.public.text(), chain=None, first_seq=first_seq, last_seq=None, added_at=SINCE
    )


def later_key(device: str) -> SigningKey:
    """The key to which this terminal's first one is handed over: of the same algorithm."""
    return SteadyEs256(ec.derive_private_key(8, ec.SECP256R1())) if device == "gate-2" else ed25519_key(41)


def a_day_of_a_rotated_terminal(
    device: str = "gate-1",
    *,
    second: SigningKey | None = None,
    says: dict[str, Any] | None = None,
    goes_on: SigningKey | None = None,
    named: SigningKey | None = None,
) -> tuple[Site, Parts]:
    """The terminal hands its chain over and W-1 punches there; `says` changes the rotation's body.

    `second`: who else signs the rotation; `goes_on`: who signs what follows; `named`: whom the manifest has from the
    next seq on. None: the key after it, as it must be.
    """
    site = a_day()
    old, new = site.keys[device], later_key(device)
    seq, prev = site.next_of(device)
    body = {"previous": old.public.text(), "key": new.public.text(), "reason": "yearly"} | (says or {})
    event = site.event(device, seq, prev, "device.key_rotated", body, minute=57)
    site.take(site.entry(event, old, second or new))
    site.keys[device] = goes_on or new
    site.punch(device, "W-1", "IN", minute=58)
    parts = site.parts()
    entries = [
        KeyEntry(device=device, key=key.public.text(), chain=None, first_seq=first, last_seq=None, added_at=SINCE)
        for key, first in ((old, 0), (named or goes_on or new, seq + 1))
    ]
    return site, replace(parts, keys=[*entries, *(one for one in parts.keys if one.device != device)])

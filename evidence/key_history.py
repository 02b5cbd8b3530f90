"""Which of the collector's keys counts for what, once one was handed over: receipts, commands, checkpoints alike.

Whoever trusts one key follows the documents that both keys signed (handover.py), forwards to the keys of today and
backwards to those of yesterday. A key that was handed over counts for what was signed before: for what speaks of a
ledger of at most `tree_size` entries, as every receipt, checkpoint and bundle says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evidence.checkpoint import NO_WITNESSES, Checkpoint, WitnessPolicy, verify_checkpoint
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, RetiredKey, UnknownKey
from evidence.handover import KeyHandover
from evidence.keys import PublicKey
from evidence.note import Note, SignatureType, VerifierKey
from evidence.statements import Purpose


@dataclass(frozen=True, slots=True)
class CountingKey:
    """A key, and up to which size of the ledger what it signed counts; None: it was never handed over."""

    key: PublicKey
    upto: int | None = None

    def require(self, tree_size: int) -> None:
        """Raise RetiredKey where the key was handed over before the ledger had `tree_size` entries."""
        if self.upto is not None and tree_size > self.upto:
            raise RetiredKey(
                f"the key {self.key.fingerprint} was handed over when the ledger had {self.upto} entries, and here it "
                f"signs for {tree_size}: only its successor may"
            )


def keys_over_time(
    purpose: Purpose, trusted: Sequence[PublicKey], handovers: Iterable[KeyHandover]
) -> tuple[CountingKey, ...]:
    """Return every key that is one of `trusted` or connected with one by handovers, each signed by both of its keys.

    Those trusted come first. A document that does not say at which size it was signed leaves the old key nothing.
    Raises UnknownKey for a key that is handed over twice or comes back.
    """
    documents = [one for one in handovers if one.purpose == purpose]
    after: dict[str, KeyHandover] = {}
    for one in documents:
        if after.setdefault(one.old, one).new != one.new:
            raise UnknownKey(f"the key {PublicKey.parse(one.old).fingerprint} was handed over to two keys")
    _require_no_return(after)
    found = dict.fromkeys(key.text() for key in trusted)
    grown = True
    while grown:
        before = len(found)
        for one in documents:
            if one.old in found or one.new in found:
                found |= {one.old: None, one.new: None}
        grown = len(found) > before
    return tuple(
        CountingKey(PublicKey.parse(text), after[text].tree_size or 0 if text in after else None) for text in found
    )


def signer_of(envelope: Envelope, keys: Sequence[CountingKey]) -> CountingKey:
    """Return the key that the first signature names; any of them where it names none, so that it is refused."""
    return next((one for one in keys if one.key.id == envelope.signatures[0].keyid), keys[0])


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the ledger's checkpoints under the ledger's name."""

    vkey: VerifierKey
    upto: int | None = None


def log_keys(named: Sequence[VerifierKey], handovers: Iterable[KeyHandover]) -> tuple[LogKey, ...]:
    """Return the keys of a log: those named, and those that handovers connect with them, under the first one's name.

    Raises what `keys_over_time` raises.
    """
    names = {one.key: one for one in named}
    counting = keys_over_time("checkpoint", list(names), handovers)
    return tuple(
        LogKey(names.get(one.key) or VerifierKey(named[0].name, SignatureType.ED25519, one.key), one.upto)
        for one in counting
    )


def read_checkpoint(
    note: bytes, origin: str, keys: Sequence[LogKey], policy: WitnessPolicy = NO_WITNESSES
) -> Checkpoint:
    """Read a checkpoint that one of the log's keys signed while it counted, as `verify_checkpoint` does for one.

    Raises what that raises, and RetiredKey.
    """
    problem: EvidenceError = UnknownKey("no key of the ledger's checkpoints is known")
    for one in keys:
        try:
            found = verify_checkpoint(note, origin, one.vkey, policy)
        except UnknownKey as error:
            problem = error
            continue
        CountingKey(one.vkey.key, one.upto).require(found.size)
        return found
    raise problem


def signed_by_log(note: bytes, keys: Sequence[LogKey]) -> bool:
    """Say whether one of the log's keys, handed over or not, has signed this note, whatever it says."""
    try:
        read = Note.decode(note)
        for one in keys:
            if read.signatures_by(one.vkey):
                read.verify(one.vkey)
                return True
    except EvidenceError:
        return False
    return False


def _require_no_return(after: dict[str, KeyHandover]) -> None:
    for start in after:
        seen, at = {start}, after[start].new
        while at in after and at not in seen:
            seen.add(at)
            at = after[at].new
        if at in seen:
            raise UnknownKey(f"the key {PublicKey.parse(at).fingerprint} was handed over and does not come back")

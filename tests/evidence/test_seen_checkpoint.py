"""Whatever a ledger shows next must have grown from what it showed before, or it is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.add_checkpoint import AddCheckpoint, is_add_checkpoint, write_add_checkpoint
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.errors import EvidenceError, InvalidProof, RetiredKey, SplitView, UnknownKey, WrongOrigin
from evidence.handover import parse_handover, sign_handover
from evidence.key_history import LogKey, log_keys
from evidence.merkle import consistency_proof, leaf_hash, root_of
from evidence.note import Note, NoteSigner, SignatureType
from evidence.seen_checkpoint import SeenCheckpoint, take
from tests.evidence.bundles import LATER_LOG, LATER_SIGNER, LOG, LOG_SIGNER, ORIGIN, OTHER, WITNESS_SIGNER

KEYS = (LogKey(LOG_SIGNER.public),)
HONEST = [leaf_hash(f"honest {n}".encode()) for n in range(40)]
FORKED = [*HONEST[:11], *(leaf_hash(f"forked {n}".encode()) for n in range(11, 40))]


def note(leaves: list[bytes], size: int, signer: NoteSigner = LOG_SIGNER) -> Note:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root_of(leaves[:size])), signer)


def shown(leaves: list[bytes], old: int, new: int, signer: NoteSigner = LOG_SIGNER) -> AddCheckpoint:
    proof = consistency_proof(old, new, leaves[:new])
    return AddCheckpoint.parse(write_add_checkpoint(old, proof, note(leaves, new, signer).encode()))


def held(size: int, leaves: list[bytes] = HONEST) -> SeenCheckpoint:
    return SeenCheckpoint.read(note(leaves, size).encode().decode(), ORIGIN, KEYS)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_an_honest_ledger_is_followed_and_never_accused(sizes: list[int]) -> None:
    seen: SeenCheckpoint | None = None
    for size in sizes:
        old = 0 if seen is None else seen.checkpoint.size
        seen = take(seen, shown(HONEST, min(old, size), size), ORIGIN, KEYS) or seen
        assert seen is not None
    assert seen is not None and seen.checkpoint.size == max(sizes)


@given(size=st.integers(12, 40), later=st.integers(12, 40))
def test_no_fork_below_what_was_seen_is_followed(size: int, later: int) -> None:
    if later == size:  # two signatures over one size
        with pytest.raises(SplitView):
            take(held(size), shown(FORKED, size, later), ORIGIN, KEYS)
    else:
        assert take(held(size), shown(FORKED, min(size, later), later), ORIGIN, KEYS) is None


def test_a_false_proof_beside_a_true_checkpoint_accuses_nobody() -> None:
    true = shown(HONEST, 12, 30)
    for proof in ((), (bytes(32),), true.proof[:-1], true.proof[::-1]):
        assert take(held(12), replace(true, proof=proof), ORIGIN, KEYS) is None


def test_a_fork_above_what_was_seen_is_one_history() -> None:
    assert take(held(11), shown(FORKED, 11, 30), ORIGIN, KEYS) is not None


def test_without_a_proof_from_what_was_seen_nothing_changes() -> None:
    assert take(held(12), shown(HONEST, 5, 30), ORIGIN, KEYS) is None
    assert take(held(12), shown(FORKED, 5, 30), ORIGIN, KEYS) is None
    with pytest.raises(SplitView):  # two signatures over one size need no proof
        take(held(12), shown(FORKED, 5, 12), ORIGIN, KEYS)


def test_only_the_ledger_itself_is_believed() -> None:
    with pytest.raises(UnknownKey):
        take(held(12), shown(FORKED, 12, 30, NoteSigner(ORIGIN, SignatureType.ED25519, OTHER)), ORIGIN, KEYS)
    elsewhere = sign_checkpoint(Checkpoint("another.example/ledger", 30, bytes(32)), LOG_SIGNER)
    with pytest.raises(WrongOrigin):
        take(held(12), AddCheckpoint.parse(write_add_checkpoint(12, (), elsewhere.encode())), ORIGIN, KEYS)


def test_a_key_that_was_handed_over_goes_on_under_the_next_one() -> None:
    document = parse_handover(sign_handover("checkpoint", LOG, LATER_LOG, "2026-03-01T01:00:00.000Z", 20))
    keys = log_keys([LOG_SIGNER.public], [document])
    later = take(held(12), shown(HONEST, 12, 30, LATER_SIGNER), ORIGIN, keys)
    assert later is not None and later.checkpoint.size == 30
    with pytest.raises(RetiredKey):
        take(held(12), shown(FORKED, 12, 30), ORIGIN, keys)


def test_what_is_carried_has_the_ledgers_signature_alone() -> None:
    cosigned = note(HONEST, 12).adding(WITNESS_SIGNER.cosign(note(HONEST, 12).text, 1_772_400_000))
    seen = take(None, AddCheckpoint.parse(write_add_checkpoint(0, (), cosigned.encode())), ORIGIN, KEYS)
    assert seen is not None and seen.text == note(HONEST, 12).encode().decode()


@pytest.mark.parametrize("data", [b"", b"old", b"old x\n\n", b"old 3\n\n", b"old 99\n\n" + note(HONEST, 12).encode()])
def test_what_cannot_be_read_says_so(data: bytes) -> None:
    with pytest.raises(InvalidProof):
        AddCheckpoint.parse(data)
    assert not is_add_checkpoint(b'{"payload":"')


def test_every_changed_byte_changes_nothing_here() -> None:
    message = write_add_checkpoint(12, consistency_proof(12, 30, HONEST[:30]), note(HONEST, 30).encode())
    for at in range(len(message)):
        changed = bytearray(message)
        changed[at] ^= 1
        try:
            found = take(held(12), AddCheckpoint.parse(bytes(changed)), ORIGIN, KEYS)
        except EvidenceError:
            continue
        assert found is None, f"byte {at}"

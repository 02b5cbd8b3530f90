"""Checkpoints and proofs: a real log's checkpoint holds, and a policy believes only what it asked for."""

from __future__ import annotations

import base64
import dataclasses
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.checkpoint import (
    Checkpoint,
    WitnessPolicy,
    cosignatures,
    sign_checkpoint,
    verify_checkpoint,
    verify_growth,
)
from evidence.errors import (
    BadSignature,
    ConsistencyFailed,
    EvidenceError,
    InclusionFailed,
    InvalidCheckpoint,
    InvalidKey,
    InvalidProof,
    MissingCosignatures,
    TooLarge,
    UnknownKey,
    WrongOrigin,
)
from evidence.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from evidence.note import Note, NoteSigner, SignatureType, VerifierKey
from evidence.tlog_proof import TlogProof
from tests.evidence.chains import ed25519_key

EXAMPLES = 5_000 if os.environ.get("ZAIGANG_LONG") == "1" else 100

# A checkpoint of a public Certificate Transparency log (arche2025h1, May 2026) with the cosignatures of witnesses.
REAL = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
""".encode()  # noqa: E501
REAL_LOG = VerifierKey.parse(
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
REAL_WITNESSES = tuple(
    VerifierKey.parse(text)
    for text in (
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
        "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
        "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    )
)

ORIGIN = "example.com/ledger"
LOG = NoteSigner(ORIGIN, SignatureType.ED25519, ed25519_key(3))
WITNESSES = [NoteSigner(f"witness{n}.example", SignatureType.COSIGNATURE_V1, ed25519_key(10 + n)) for n in range(3)]
KEYS = tuple(one.public for one in WITNESSES)
LEAVES = [leaf_hash(bytes([n])) for n in range(20)]


def checkpoint(size: int = 13) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(LEAVES[:size]))


def cosigned(*witnesses: NoteSigner, size: int = 13) -> bytes:
    note = sign_checkpoint(checkpoint(size), LOG)
    return note.adding(*(one.cosign(note.text, 1_700_000_000) for one in witnesses)).encode()


def test_a_real_checkpoint_is_believed_with_its_witnesses() -> None:
    found = verify_checkpoint(REAL, REAL_LOG.name, REAL_LOG, WitnessPolicy(REAL_WITNESSES, 4))
    assert found.size == 1432088532
    assert set(cosignatures(Note.decode(REAL), REAL_WITNESSES).values()) == {1779573024}
    for old, new in ((b"1432088532", b"1432088533"), (b"U7WM", b"V7WM")):
        with pytest.raises(BadSignature):
            verify_checkpoint(REAL.replace(old, new), REAL_LOG.name, REAL_LOG)


def test_a_policy_counts_each_known_witness_once() -> None:
    policy = WitnessPolicy(KEYS, 2)
    assert verify_checkpoint(cosigned(*WITNESSES[:2]), ORIGIN, LOG.public, policy) == checkpoint()
    stranger = NoteSigner("stranger.example", SignatureType.COSIGNATURE_V1, ed25519_key(77))
    for too_few in (cosigned(), cosigned(WITNESSES[0]), cosigned(WITNESSES[0], WITNESSES[0]), cosigned(stranger)):
        with pytest.raises(MissingCosignatures):
            verify_checkpoint(too_few, ORIGIN, LOG.public, policy)
    verify_checkpoint(cosigned(), ORIGIN, LOG.public)


def test_witnesses_alone_do_not_make_a_checkpoint() -> None:
    note = Note.decode(cosigned(*WITNESSES))
    with pytest.raises(UnknownKey):
        verify_checkpoint(Note(note.text, note.signatures[1:]).encode(), ORIGIN, LOG.public, WitnessPolicy(KEYS, 3))


def test_a_cosignature_of_another_checkpoint_does_not_count() -> None:
    other = Note.decode(cosigned(WITNESSES[0], size=12)).signatures[1]
    with pytest.raises(BadSignature):
        verify_checkpoint(
            sign_checkpoint(checkpoint(), LOG).adding(other).encode(), ORIGIN, LOG.public, WitnessPolicy(KEYS, 1)
        )


def test_a_checkpoint_of_another_ledger_is_refused() -> None:
    with pytest.raises(WrongOrigin):
        verify_checkpoint(cosigned(), "example.com/other", LOG.public)


def test_a_policy_that_cannot_mean_what_it_says_is_refused() -> None:
    twice = dataclasses.replace(KEYS[0], name="the.same/key")
    for witnesses, needed in (
        (KEYS, 4),
        (KEYS, -1),
        ((*KEYS, twice), 2),
        ((LOG.public,), 1),
    ):
        with pytest.raises(InvalidKey):
            WitnessPolicy(witnesses, needed)
    own = VerifierKey("w", SignatureType.COSIGNATURE_V1, LOG.key.public)
    with pytest.raises(InvalidKey, match="own witness"):
        verify_checkpoint(cosigned(), ORIGIN, LOG.public, WitnessPolicy((own,), 1))
    with pytest.raises(InvalidKey, match="type 1"):
        verify_checkpoint(cosigned(), ORIGIN, KEYS[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n01\n{'A' * 43}=\n",
        f"{ORIGIN}\n-1\n{'A' * 43}=\n",
        f"{ORIGIN}\n+1\n{'A' * 43}=\n",
        f"{ORIGIN}\n１\n{'A' * 43}=\n",
        f"{ORIGIN}\n9223372036854775808\n{'A' * 43}=\n",
        f"{ORIGIN}\n99999999999999999999\n{'A' * 43}=\n",
        f"{ORIGIN}\n1\n{'A' * 42}B=\n",
        f"{ORIGIN}\n1\n{'A' * 43}\n",
        f"{ORIGIN}\n1\n{'A' * 40}\n",
        f"{ORIGIN}\n1\n!{'A' * 42}=\n",
        f"{ORIGIN}\n1\n{'A' * 43}=",
        f"{ORIGIN}\n1\n{'A' * 43}=\n\nmore\n",
        f"\n1\n{'A' * 43}=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        Checkpoint.parse(text)


def test_further_lines_are_kept_and_signed() -> None:
    with_line = dataclasses.replace(checkpoint(), extensions=("more",))
    note = sign_checkpoint(with_line, LOG).encode()
    assert verify_checkpoint(note, ORIGIN, LOG.public) == with_line
    with pytest.raises(BadSignature):
        verify_checkpoint(note.replace(b"more\n", b""), ORIGIN, LOG.public)


def test_what_would_not_be_read_is_not_signed() -> None:
    for origin, extensions in (("", ()), ("two\nlines", ()), (ORIGIN, ("",)), (ORIGIN, ("a\nb",))):
        with pytest.raises(EvidenceError):
            sign_checkpoint(Checkpoint(origin, 1, bytes(32), extensions), LOG)


def test_growth_is_checked_between_checkpoints() -> None:
    older, newer = checkpoint(5), checkpoint(13)
    verify_growth(older, newer, consistency_proof(5, 13, LEAVES))
    rewritten = [leaf_hash(b"other"), *LEAVES[1:]]
    with pytest.raises(ConsistencyFailed):
        verify_growth(older, Checkpoint(ORIGIN, 13, root_of(rewritten[:13])), consistency_proof(5, 13, rewritten))
    with pytest.raises(WrongOrigin):
        verify_growth(dataclasses.replace(older, origin="x"), newer, consistency_proof(5, 13, LEAVES))


# --- tlog-proofs


def proof(index: int = 4, size: int = 13) -> TlogProof:
    return TlogProof(index, inclusion_proof(index, size, LEAVES), cosigned(*WITNESSES, size=size))


@pytest.mark.parametrize("size", [1, 2, 13, 20])
def test_a_proof_needs_nothing_else(size: int) -> None:
    for index in range(size):
        data = proof(index, size).encode()
        read = TlogProof.decode(data)
        assert read.encode() == data and read.index == index
        assert read.verify(LEAVES[index], ORIGIN, LOG.public, WitnessPolicy(KEYS, 3)).size == size
        with pytest.raises(InclusionFailed):
            read.verify(LEAVES[(index + 1) % 20], ORIGIN, LOG.public)


def test_the_text_of_a_proof_is_as_the_standard_shows_it() -> None:
    one = dataclasses.replace(proof(), extra=b"anything")
    lines = one.encode().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(b'anything').decode()}", "index 4"]
    assert lines[3:7] == [base64.b64encode(step).decode() for step in one.path]
    assert lines[7] == "" and "\n".join(lines[8:]).encode() == one.checkpoint
    assert TlogProof.decode(one.encode()) == one


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text.replace(b"@v1", b"@v2"),
        lambda text: text.replace(b"index 4", b"index 04"),
        lambda text: text.replace(b"index 4\n", b""),
        lambda text: text.replace(b"index 4", b"index \xef\xbc\x94"),
        lambda text: text.replace(b"index 4", b"extra !\nindex 4"),
        lambda text: text.replace(b"index 4", b"extra YQ=\nindex 4"),
        lambda text: text.replace(b"index 4", b"extra YR==\nindex 4"),
        lambda text: text.replace(b"index 4\n", b"index 4\nAAAA\n"),
        lambda text: text.replace(b"index 4\n", b"index 4\n" + b"A" * 43 + b"=\n" * 1 + b"x\n"),
        lambda text: text.replace(b"index 4\n", b"index 4\n" + (b"A" * 43 + b"=\n") * 65),
        lambda text: text.partition(b"\n\n")[0],
        lambda text: text.partition(b"\n\n")[0] + b"\n\n",
    ],
)
def test_what_is_no_proof_is_refused(change: object) -> None:
    with pytest.raises(InvalidProof):
        TlogProof.decode(change(proof().encode()))  # type: ignore[operator]


def test_a_proof_has_a_bound() -> None:
    with pytest.raises(TooLarge):
        TlogProof.decode(b"x" * 2_000_001)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_proof_fails(data: st.DataObject) -> None:
    whole = proof().encode()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(whole))
    with pytest.raises(EvidenceError):
        TlogProof.decode(changed).verify(LEAVES[4], ORIGIN, LOG.public, WitnessPolicy(KEYS, 3))


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=200), st.booleans())
def test_whatever_bytes_come_only_evidence_errors_come_out(data: bytes, header: bool) -> None:
    try:
        TlogProof.decode((b"c2sp.org/tlog-proof@v1\nindex 1\n\n" if header else b"") + data).verify(
            LEAVES[0], ORIGIN, LOG.public
        )
    except EvidenceError:
        return
    raise AssertionError("random bytes were believed")

"""Signed notes: the published examples hold, and nothing else is read or believed."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import BadSignature, EvidenceError, InvalidKey, InvalidNote, TooLarge, UnknownKey
from evidence.note import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    NoteSigner,
    SignatureType,
    VerifierKey,
    parse_signing_key,
    sign_note,
    signing_key_text,
)
from tests.evidence.chains import ed25519_key, es256_key

EXAMPLES = 5_000 if os.environ.get("ZAIGANG_LONG") == "1" else 100

# golang.org/x/mod/sumdb/note, the format's reference implementation: its documentation and tests.
PETER_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NOTE = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}".encode()

# c2sp.org/signed-note, "Verifier keys", "Example".
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

LOG = NoteSigner("example.com/log", SignatureType.ED25519, ed25519_key(3))
WITNESS = NoteSigner("witness.example", SignatureType.COSIGNATURE_V1, ed25519_key(4))


def test_the_published_key_signs_the_published_note() -> None:
    signer = parse_signing_key(PETER_SKEY)
    assert signer.public.text() == PETER
    assert sign_note(TEXT, [signer]).encode() == f"{TEXT}\n{PETER_LINE}".encode()


def test_the_published_notes_are_believed_under_their_keys() -> None:
    note = Note.decode(NOTE)
    assert note.text == TEXT and note.encode() == NOTE
    for text in (PETER, ENOCH):
        key = VerifierKey.parse(text)
        assert key.text() == text
        assert note.verify(key) is None
    Note.decode(FOO_NOTE).verify(VerifierKey.parse(FOO))
    with pytest.raises(UnknownKey):
        note.verify(VerifierKey.parse(FOO))


def test_a_key_with_the_same_name_or_the_same_id_is_another_key() -> None:
    note = sign_note(TEXT, [LOG])
    with pytest.raises(UnknownKey):
        note.verify(NoteSigner(LOG.name, LOG.type, ed25519_key(9)).public)
    with pytest.raises(UnknownKey):
        note.verify(NoteSigner("example.com/other", LOG.type, LOG.key).public)
    renamed = Note(note.text, (NoteSignature("x", note.signatures[0].key_id, note.signatures[0].signature),))
    with pytest.raises(UnknownKey):
        renamed.verify(LOG.public)


def test_a_false_line_of_a_known_key_is_refused_even_beside_a_true_one() -> None:
    note = sign_note(TEXT, [LOG])
    false = NoteSignature(LOG.name, LOG.public.id, bytes(64))
    with pytest.raises(BadSignature):
        note.adding(false).verify(LOG.public)


def test_a_cosignature_says_when() -> None:
    note = sign_note(TEXT, [LOG])
    cosigned = Note.decode(note.adding(WITNESS.cosign(TEXT, 1_679_315_147), WITNESS.cosign(TEXT, 7)).encode())
    assert cosigned.verify(WITNESS.public) == 1_679_315_147
    line = cosigned.signatures_by(WITNESS.public)[0]
    later = line.signature[:7] + bytes([line.signature[7] ^ 1]) + line.signature[8:]
    for wrong in (later, line.signature[8:], line.signature + b"x"):
        with pytest.raises(BadSignature):
            note.adding(NoteSignature(line.name, line.key_id, wrong)).verify(WITNESS.public)


def test_a_logs_key_cosigns_nothing_and_a_witness_signs_no_note() -> None:
    with pytest.raises(InvalidKey):
        WITNESS.sign(TEXT)
    with pytest.raises(InvalidKey):
        LOG.cosign(TEXT, 1)
    assert (
        VerifierKey("a", SignatureType.ED25519, LOG.key.public).id
        != VerifierKey("a", SignatureType.COSIGNATURE_V1, LOG.key.public).id
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}\n{PETER_LINE}".encode()[:-1],
        f"{TEXT}{PETER_LINE}".encode(),
        f"\n\n{PETER_LINE}"[1:].encode(),
        f"{TEXT}\n{PETER_LINE}\n".encode(),
        f"{TEXT}\n{PETER_LINE}x\n".encode(),
        f"{TEXT}\n-- PeterNeumann{PETER_LINE[14:]}".encode(),
        f"{TEXT}\n{PETER_LINE}".encode().replace(b"problem,\n", b"problem,\r\n"),
        f"{TEXT}\n{PETER_LINE}".encode().replace(b"think", b"thi\x00nk"),
        f"{TEXT}\n{PETER_LINE}".encode().replace(b"think", b"thi\xffnk"),
        f"{TEXT}\n{PETER_LINE}".replace("PeterNeumann ", "Peter+Neumann ").encode(),
        f"{TEXT}\n{PETER_LINE}".replace("PeterNeumann ", "Peter Neumann ").encode(),
        f"{TEXT}\n{PETER_LINE}".replace("PeterNeumann ", "Peter\u00a0Neumann ").encode(),
        f"{TEXT}\n{PETER_LINE}".replace("PeterNeumann ", " ").encode(),
        f"{TEXT}\n{PETER_LINE}".replace("nAM=", "nAN=").encode(),
        f"{TEXT}\n{PETER_LINE}".replace("nAM=", "nAM").encode(),
        f"{TEXT}\n— PeterNeumann x08gow==\n".encode(),
        f"{TEXT}\n— PeterNeumann \n".encode(),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidNote):
        Note.decode(data)


def test_a_note_has_bounds() -> None:
    assert len(Note.decode(f"{TEXT}\n{PETER_LINE * MAX_SIGNATURES}".encode()).signatures) == MAX_SIGNATURES
    with pytest.raises(TooLarge):
        Note.decode(f"{TEXT}\n{PETER_LINE * (MAX_SIGNATURES + 1)}".encode())
    with pytest.raises(TooLarge):
        Note.decode(b"x" * 1_000_001)


def test_a_text_may_have_empty_lines_but_must_end_its_last() -> None:
    assert Note.decode(sign_note("one\n\ntwo\n", [LOG]).encode()).text == "one\n\ntwo\n"
    for text in ("one", "", "one\r\n", "one\ttwo\n"):
        with pytest.raises(InvalidNote):
            sign_note(text, [LOG])
    with pytest.raises(InvalidNote):
        sign_note("one\n", [])


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_note_fails(data: st.DataObject) -> None:
    whole = sign_note(TEXT, [LOG]).encode()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(whole))
    with pytest.raises(EvidenceError):
        Note.decode(changed).verify(LOG.public)


@pytest.mark.long
@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_is_read_is_written_again_the_same(data: bytes) -> None:
    try:
        note = Note.decode(data)
    except EvidenceError:
        return
    assert note.encode() == data


def test_a_vkey_is_read_in_one_form_only() -> None:
    name, _, material = FOO.split("+", 2)
    raw = base64.b64decode(material)[1:]
    for other in (
        "",
        name,
        f"{name}+530d903a",
        f"{name}+530d903b+{material}",
        f"{name}+530D903A+{material}",
        f"{name}+530d903a+{material[:-1]}",
        f"{name}+530d903a+{material}=",
        f"{name}+530d903a+!{material[1:]}",
        f"{name}+530d903a+",
        f"+530d903a+{material}",
        f"exam ple+530d903a+{material}",
        f"{name}+530d903a+{base64.b64encode(bytes([2]) + raw).decode()}",
        f"{name}+530d903a+{base64.b64encode(bytes([1]) + raw + b'x').decode()}",
    ):
        with pytest.raises(InvalidKey):
            VerifierKey.parse(other)


def test_a_vkey_of_small_order_is_refused() -> None:
    raw = (1).to_bytes(32, "little")
    key_id = hashlib.sha256(b"weak\n\x01" + raw).hexdigest()[:8]
    with pytest.raises(InvalidKey, match="small order"):
        VerifierKey.parse(f"weak+{key_id}+{base64.b64encode(bytes([1]) + raw).decode()}")


def test_only_ed25519_keys_sign_notes() -> None:
    with pytest.raises(InvalidKey):
        VerifierKey("x", SignatureType.ED25519, es256_key().public)


def test_a_signing_key_survives_its_text_and_nothing_else_is_read() -> None:
    for kind in SignatureType:
        text = signing_key_text("a.example/log", kind, ed25519_key(5))
        signer = parse_signing_key(f"{text}\n")
        assert (signer.name, signer.type, signer.public.key) == ("a.example/log", kind, ed25519_key(5).public)
    for other in ("", PETER, PETER_SKEY[:-1], PETER_SKEY.replace("c74f", "c74e"), PETER_SKEY.replace("Peter", "Paul")):
        with pytest.raises(InvalidKey):
            parse_signing_key(other)

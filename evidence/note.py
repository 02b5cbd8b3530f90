"""C2SP signed notes: text signed by named keys, and the keys' text forms (vkey, skey).

Standards: c2sp.org/signed-note, c2sp.org/tlog-cosignature (v1). Stricter in one way: base64 has one form only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.errors import BadSignature, InvalidKey, InvalidNote, TooLarge, UnknownKey
from evidence.keys import SIGNATURE_BYTES, Ed25519Key, PublicKey, SigningKey

MAX_NOTE_BYTES = 1_000_000  # as the reference implementation golang.org/x/mod/sumdb/note
MAX_SIGNATURES = 100  # likewise; the standard asks for at least 16
_DASH = "\u2014 "
_SKEY = "PRIVATE+KEY+"
_TIME_BYTES = 8


class SignatureType(IntEnum):
    """What a key of a note signs: the standard's identifier bytes."""

    ED25519 = 1  # the text of the note
    COSIGNATURE_V1 = 4  # a witness's word: a time and the text of a checkpoint


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 key and what it signs."""

    name: str
    type: SignatureType
    key: PublicKey

    def __post_init__(self) -> None:
        _check_name(self.name)
        _ = self.key.ed25519_raw

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature line names the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key.ed25519_raw).digest()[:4]

    def text(self) -> str:
        """The vkey form: `name+id+base64(type ‖ key)`."""
        return f"{self.name}+{self.id.hex()}+{_b64(bytes([self.type]) + self.key.ed25519_raw)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey. Raises InvalidKey."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidKey("a vkey reads name+id+key, the id as 8 hex digits, the key as base64")
        kind, raw = _key_material(parts[2])
        key = cls(parts[0], kind, PublicKey.from_ed25519(raw))
        if key.id.hex() != parts[1]:
            raise InvalidKey(f"the vkey's id is {parts[1]!r}, its name and key give {key.id.hex()}: one was mistyped")
        return key

    def verify(self, text: str, signature: bytes) -> int | None:
        """Check the signature bytes over a note's text; return a cosignature's time in seconds since 1970.

        Raises BadSignature.
        """
        if self.type is SignatureType.ED25519:
            self.key.verify(signature, text.encode())
            return None
        if len(signature) != _TIME_BYTES + SIGNATURE_BYTES:
            raise BadSignature(f"a cosignature has {_TIME_BYTES + SIGNATURE_BYTES} bytes, this one {len(signature)}")
        seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
        self.key.verify(signature[_TIME_BYTES:], _cosigned(text, seconds))
        return seconds


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not yet believed."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {_b64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline. Raises InvalidNote."""
        parts = line.removeprefix(_DASH).split(" ")
        if not line.startswith(_DASH) or len(parts) != 2:
            raise InvalidNote("a signature line reads: em dash, space, key name, space, base64")
        try:
            _check_name(parts[0])
            data = _unb64(parts[1])
        except (InvalidKey, ValueError) as error:
            raise InvalidNote(f"a signature line cannot be read: {error}") from error
        if len(data) <= 4:
            raise InvalidNote("a signature line has four bytes of key id and then the signature")
        return cls(parts[0], data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A signing key under a name of a note."""

    name: str
    type: SignatureType
    key: SigningKey

    @property
    def public(self) -> VerifierKey:
        """What verifiers need."""
        return VerifierKey(self.name, self.type, self.key.public)

    def sign(self, text: str) -> NoteSignature:
        """Sign a note's text. For keys of type ED25519. Raises InvalidKey."""
        if self.type is not SignatureType.ED25519:
            raise InvalidKey("a witness's key makes cosignatures, which have a time")
        return NoteSignature(self.name, self.public.id, self.key.sign(text.encode()))

    def cosign(self, text: str, seconds: int) -> NoteSignature:
        """Cosign a checkpoint's text; the time in seconds since 1970. For keys of type COSIGNATURE_V1.

        Raises InvalidKey.
        """
        if self.type is not SignatureType.COSIGNATURE_V1:
            raise InvalidKey("a log's key signs notes; cosignatures need a key of type 4")
        signature = self.key.sign(_cosigned(text, seconds))
        return NoteSignature(self.name, self.public.id, seconds.to_bytes(_TIME_BYTES, "big") + signature)


@dataclass(frozen=True, slots=True)
class Note:
    """A text, with its last newline, and who is said to have signed it."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The note as it is kept and sent. Raises InvalidNote for what `decode` would not read."""
        data = f"{self.text}\n{''.join(one.line() for one in self.signatures)}".encode()
        if Note.decode(data) != self:
            raise InvalidNote("a note's text ends with a newline, and somebody has signed it")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Note:
        """Read a note without believing it. Raises InvalidNote, TooLarge."""
        if len(data) > MAX_NOTE_BYTES:
            raise TooLarge(f"a note has at most {MAX_NOTE_BYTES} bytes, this one has more")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise InvalidNote(f"the note is not UTF-8 from byte {error.start} on") from error
        if any(letter < " " and letter != "\n" for letter in whole):
            raise InvalidNote("a note has no control characters other than newlines")
        text, gap, lines = whole.rpartition("\n\n")
        if not gap or not text or not lines.endswith("\n"):
            raise InvalidNote("a note is a text, an empty line, and signature lines that each end with a newline")
        signatures = lines[:-1].split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise TooLarge(f"a note has at most {MAX_SIGNATURES} signatures, this one has {len(signatures)}")
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in signatures))

    def verify(self, key: VerifierKey) -> int | None:
        """Check that `key` has signed; return the time of its newest cosignature where it is a witness's.

        Raises UnknownKey where it has not, BadSignature where any of its lines is false.
        """
        times = [key.verify(self.text, one.signature) for one in self.signatures_by(key)]
        if not times:
            raise UnknownKey(f"{key.name} (key {key.id.hex()}) has not signed this note")
        return max((one for one in times if one is not None), default=None)

    def signatures_by(self, key: VerifierKey) -> list[NoteSignature]:
        """The lines that name this key, not yet believed."""
        return [one for one in self.signatures if (one.name, one.key_id) == (key.name, key.id)]

    def adding(self, *signatures: NoteSignature) -> Note:
        """The note with further signature lines."""
        return Note(self.text, self.signatures + signatures)


def sign_note(text: str, signers: Sequence[NoteSigner]) -> Note:
    """Sign a text that ends with a newline. Raises InvalidNote, InvalidKey."""
    note = Note(text, tuple(one.sign(text) for one in signers))
    note.encode()
    return note


def signing_key_text(name: str, kind: SignatureType, key: Ed25519Key) -> str:
    """The skey form of a private key: `PRIVATE+KEY+name+id+base64(type ‖ seed)`; keep it at mode 0600."""
    seed = key.private.private_bytes_raw()
    return f"{_SKEY}{name}+{VerifierKey(name, kind, key.public).id.hex()}+{_b64(bytes([kind]) + seed)}"


def parse_signing_key(text: str) -> NoteSigner:
    """Read an skey. Raises InvalidKey."""
    parts = text.strip().removeprefix(_SKEY).split("+", 2)
    if not text.strip().startswith(_SKEY) or len(parts) != 3:
        raise InvalidKey(f"an skey reads {_SKEY}name+id+key")
    kind, seed = _key_material(parts[2])
    signer = NoteSigner(parts[0], kind, Ed25519Key(Ed25519PrivateKey.from_private_bytes(seed)))
    if signer.public.id.hex() != parts[1]:
        raise InvalidKey("the skey's id does not fit its name and key: one was mistyped")
    return signer


def _key_material(encoded: str) -> tuple[SignatureType, bytes]:
    try:
        data = _unb64(encoded)
        kind = SignatureType(data[0]) if len(data) == 33 else None
    except ValueError as error:
        raise InvalidKey(f"the key cannot be read: {error}") from error
    if kind is None:
        raise InvalidKey(f"the key has a type byte and 32 bytes, this one {len(data)} in all")
    return kind, data[1:]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
        raise InvalidKey("a key name is not empty and has neither spaces nor a plus sign")


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the base64 cannot be read ({error})") from error
    if _b64(data) != text:
        raise ValueError("the base64 is not canonical")
    return data

"""DSSE v1 envelopes: sign the bytes, verify the bytes, never serialise again to verify.

Standard: https://github.com/secure-systems-lab/dsse (protocol version 1.0.0). Stricter than the standard in one
way: the envelope itself is canonical JSON with canonical base64, so no byte of it can change unseen.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evidence.canonical import parse_strict
from evidence.errors import (
    InvalidEnvelope,
    NotCanonical,
    SignatureCount,
    TooLarge,
    UnknownKey,
    WrongPayloadType,
)
from evidence.keys import PublicKey, SigningKey

EVENT_TYPE = "application/vnd.zaigang.event.v1+json"
RECEIPT_TYPE = "application/vnd.zaigang.receipt.v1+json"
GAP_REQUEST_TYPE = "application/vnd.zaigang.gap-request.v1+json"
PUNCH_RECEIPT_TYPE = "application/vnd.zaigang.punch-receipt.v1"
AUTHORISATION_TYPE = "application/vnd.zaigang.authorisation.v1+json"
COMMAND_TYPE = "application/vnd.zaigang.command.v1+json"
CLEARANCE_TYPE = "application/vnd.zaigang.clearance.v1+json"
JOIN_TYPE = "application/vnd.zaigang.join.v1+json"
INQUIRY_TYPE = "application/vnd.zaigang.join-inquiry.v1+json"
RENEWAL_TYPE = "application/vnd.zaigang.certificate-renewal.v1+json"
JOIN_ANSWER_TYPE = "application/vnd.zaigang.join-answer.v1+json"
STATEMENT_TYPE = "application/vnd.zaigang.statement.v1+json"
HANDOVER_TYPE = "application/vnd.zaigang.handover.v1+json"
TRANSFER_KEY_TYPE = "application/vnd.zaigang.transfer-key.v1+json"
TRANSFER_TYPE = "application/vnd.zaigang.transfer.v1+json"
TRANSFER_ANSWER_TYPE = "application/vnd.zaigang.transfer-answer.v1+json"
DELIVERY_TYPE = "application/vnd.zaigang.delivery.v1+json"

_TYPE = re.compile(r"[!#-\[\]-~]{1,128}")  # visible ASCII without quote and backslash: one way to write it
_KEYID = re.compile(r"[0-9a-f]{64}")
_TYPE_BYTES, _KEYID_BYTES = (re.compile(one.pattern.encode()) for one in (_TYPE, _KEYID))
# What stands between the quotes of an envelope in canonical form with one signature, and where what differs stands.
_FRAME = b'{"payload":"","payloadType":"","signatures":[{"keyid":"","sig":""}]}'.split(b'"')
_PAYLOAD, _PAYLOAD_TYPE, _KEY, _SIG = (place for place, text in enumerate(_FRAME) if not text)
MAX_ENVELOPE_BYTES = 65_536  # an event with twenty checks has 6 kB; ten times that is a mistake or an attack


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature and the id of the key that made it."""

    keyid: str
    sig: bytes


@dataclass(frozen=True)  # without slots: what is derived from the payload is derived once
class Envelope:
    """A payload, what it is, and who signed it."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    # Not `cached_property`: before Python 3.12 it takes a lock, which costs a hundredth of checking an event.
    @property
    def signed_bytes(self) -> bytes:
        """The bytes under the signatures: DSSE's pre-authentication encoding."""
        known: bytes | None = self.__dict__.get("_signed_bytes")
        if known is None:
            known = self.__dict__["_signed_bytes"] = pae(self.payload_type, self.payload)
        return known

    @property
    def hash(self) -> str:
        """Lower-case hex SHA-256 of the signed bytes: the name by which the next event calls this one."""
        known: str | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hashlib.sha256(self.signed_bytes).hexdigest()
        return known

    def encode(self) -> bytes:
        """The envelope as canonical JSON bytes, as it travels and is kept. Raises InvalidEnvelope."""
        if _TYPE.fullmatch(self.payload_type) is None or not all(
            _KEYID.fullmatch(one.keyid) for one in self.signatures
        ):
            raise InvalidEnvelope("payloadType is a media type in visible ASCII, keyid the hex SHA-256 of a key")
        # With nothing in it that JSON would escape, and its keys in order, this is the RFC 8785 form.
        signatures = ",".join(f'{{"keyid":"{one.keyid}","sig":"{_text(one.sig)}"}}' for one in self.signatures)
        return (
            f'{{"payload":"{_text(self.payload)}","payloadType":"{self.payload_type}","signatures":[{signatures}]}}'
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """Read an envelope without trusting it. Raises an EncodingError that names what is wrong."""
        if len(data) > MAX_ENVELOPE_BYTES:
            raise TooLarge(f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes, this one has more")
        return _with_one_signature(data) or cls._decode_slowly(data)

    @classmethod
    def _decode_slowly(cls, data: bytes) -> Envelope:
        """What `decode` means, step by step; the tests hold the quick way against it."""
        outer = parse_strict(data)
        if not isinstance(outer, dict) or outer.keys() != {"payload", "payloadType", "signatures"}:
            raise InvalidEnvelope("a DSSE envelope has exactly payload, payloadType and signatures")
        payload_type, signatures = outer["payloadType"], outer["signatures"]
        if not isinstance(payload_type, str):
            raise InvalidEnvelope("payloadType is a string")
        if not isinstance(signatures, list) or not 1 <= len(signatures) <= 2:
            raise InvalidEnvelope("signatures is a list of one signature, or two where a key is rotated")
        envelope = cls(payload_type, _bytes(outer["payload"]), tuple(_signature(one) for one in signatures))
        if envelope.encode() != data:
            if _text(envelope.payload) != outer["payload"] or any(
                _text(one.sig) != raw["sig"] for one, raw in zip(envelope.signatures, signatures, strict=True)
            ):
                raise InvalidEnvelope("the base64 is not canonical: a foreign character, unused bits or odd padding")
            raise NotCanonical("the envelope is not in RFC 8785 form; the signer must serialise canonically")
        return envelope

    def verify(self, key: PublicKey, payload_type: str) -> bytes:
        """Return the payload if exactly `key` signed it as `payload_type`. Raises a SignatureError."""
        return self.verify_all([key], payload_type)

    def verify_all(self, keys: Sequence[PublicKey], payload_type: str) -> bytes:
        """Return the payload if each of `keys`, in this order and no other, signed it. Raises a SignatureError."""
        if self.payload_type != payload_type:
            raise WrongPayloadType(f"expected a {payload_type}, got {self.payload_type!r}")
        if not keys or len(set(keys)) != len(keys):
            raise SignatureCount("a statement is signed by at least one key, and each key counts once")
        if len(self.signatures) != len(keys):
            raise SignatureCount(
                f"this statement needs {len(keys)} signature(s), the envelope has {len(self.signatures)}"
            )
        message = self.signed_bytes
        for key, signature in zip(keys, self.signatures, strict=True):
            if signature.keyid != key.id:
                raise UnknownKey(f"the envelope names key {signature.keyid[:16]}…, registered is {key.id[:16]}…")
            key.verify(signature.sig, message)
        return self.payload


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding of a payload and its type."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def sign(payload_type: str, payload: bytes, *keys: SigningKey) -> Envelope:
    """Wrap `payload` in an envelope signed by each of `keys` in order.

    Raises TooLarge for what no reader would take: better known before it stands in a chain than after.
    """
    message = pae(payload_type, payload)
    envelope = Envelope(payload_type, payload, tuple(Signature(key.public.id, key.sign(message)) for key in keys))
    size = len(envelope.encode())
    if size > MAX_ENVELOPE_BYTES:
        raise TooLarge(f"the envelope would have {size} bytes, a reader takes at most {MAX_ENVELOPE_BYTES}")
    return envelope


def _signature(value: object) -> Signature:
    if not isinstance(value, dict) or value.keys() != {"keyid", "sig"} or not isinstance(value["keyid"], str):
        raise InvalidEnvelope("a signature has exactly keyid and sig")
    return Signature(value["keyid"], _bytes(value["sig"]))


def _with_one_signature(data: bytes) -> Envelope | None:
    """Read an envelope that is exactly in its canonical form and has one signature, as nearly all; else None."""
    parts = data.split(b'"')
    if len(parts) != len(_FRAME):
        return None
    payload, payload_type, keyid, signature = parts[_PAYLOAD], parts[_PAYLOAD_TYPE], parts[_KEY], parts[_SIG]
    parts[_PAYLOAD] = parts[_PAYLOAD_TYPE] = parts[_KEY] = parts[_SIG] = b""
    if parts != _FRAME or _TYPE_BYTES.fullmatch(payload_type) is None or _KEYID_BYTES.fullmatch(keyid) is None:
        return None
    try:
        content, sig = binascii.a2b_base64(payload), binascii.a2b_base64(signature)
    except ValueError:
        return None
    # The reader above is lenient; what it took is the only text for these bytes if it comes out again.
    if binascii.b2a_base64(content, newline=False) != payload or binascii.b2a_base64(sig, newline=False) != signature:
        return None
    if not sig:
        return None
    return Envelope(payload_type.decode(), content, (Signature(keyid.decode(), sig),))


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _bytes(text: object) -> bytes:
    # Lenient: it passes over foreign characters and unused bits. That the text is the only one for these bytes, the
    # caller's comparison of the whole envelope says.
    if not isinstance(text, str):
        raise InvalidEnvelope("payload and sig are base64 strings")
    try:
        return binascii.a2b_base64(text)
    except ValueError as error:
        raise InvalidEnvelope(f"payload and sig are standard base64: {error}") from error

"""What a terminal and a collector say to each other when one joins the other: code, request, inquiry, renewal, answer.

The terminal signs with its event key, which proves that it has it; the collector answers with its command key, which
the code has pinned, and names the terminal's nonce, so that an old answer is not taken for a new one and its time is a
coarse reading of the collector's clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from evidence.canonical import parse_canonical
from evidence.envelope import INQUIRY_TYPE, JOIN_ANSWER_TYPE, JOIN_TYPE, RENEWAL_TYPE, Envelope
from evidence.errors import InvalidKey, JoinError, JoinMismatch
from evidence.events import Fact, Hex128, HexDigest, Name, Text, UtcTime
from evidence.keys import Algorithm, PublicKey, SigningKey
from evidence.signed_fact import sign_fact

_PREFIX = "zaigang-join-v1/"
MAX_CODE_CHARACTERS = 600  # a usual one has 220: a version 10 QR code, which a telephone reads from a screen
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes of the key
_F = TypeVar("_F", bound=Fact)


def _https(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError("it is written https://host:port")
    _ = parts.port  # raises ValueError beyond 65535
    return text


def _a_key(text: str) -> str:
    try:
        PublicKey.parse(text)
    except InvalidKey as error:
        raise ValueError(str(error)) from error
    return text


HttpsUrl = Annotated[str, Field(max_length=200), AfterValidator(_https)]
KeyText = Annotated[str, Field(max_length=1000), AfterValidator(_a_key)]
Request = Annotated[str, Field(max_length=6000, pattern=r"^[A-Za-z0-9+/]+=*$")]  # base64 of a DER PKCS #10


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _check(said: str) -> str:
    """Four characters by which a code that was copied wrongly is told from one of another collector."""
    return _b64(hashlib.sha256(said.encode()).digest()[:3])


def _raw(key: str) -> str:
    spki = PublicKey.parse(key).spki
    if not spki.startswith(_ED25519_SPKI):
        raise JoinError("a claim code holds Ed25519 keys of the collector")
    return _b64(spki.removeprefix(_ED25519_SPKI))


def _key_text(raw: str) -> str:
    return PublicKey(Algorithm.ED25519, _ED25519_SPKI + _unb64(raw)).text()


class ClaimCode(Fact):
    """What the QR code in the console says: where the collector is, how to know it, and a secret that works once."""

    url: HttpsUrl
    pin: HexDigest  # SHA-256 of its authority's SubjectPublicKeyInfo
    receipt: KeyText  # the collector's keys, which the terminal pins
    command: KeyText
    site: Name
    device: Name
    secret: Hex128

    def text(self) -> str:
        """The code, one word without spaces, short enough for a QR code that a telephone reads from a screen.

        Raises JoinError for keys of another kind than Ed25519.
        """
        parts = (
            self.site,
            self.device,
            _b64(bytes.fromhex(self.pin)),
            _raw(self.receipt),
            _raw(self.command),
            _b64(bytes.fromhex(self.secret)),
            self.url.removeprefix("https://").rstrip("/"),
        )
        said = _PREFIX + "/".join(parts)
        return f"{said}/{_check(said)}"

    @classmethod
    def parse(cls, text: str) -> ClaimCode:
        """Read what `text` wrote; spaces and line breaks from copying do no harm. Raises JoinError."""
        word = "".join(text.split())
        said, _, check = word.rpartition("/")
        parts = said.removeprefix(_PREFIX).split("/")
        damaged = JoinError(f"a claim code begins with {_PREFIX} and is damaged here; copy it whole, or photograph it")
        if not said.startswith(_PREFIX) or len(word) > MAX_CODE_CHARACTERS or check != _check(said) or len(parts) != 7:
            raise damaged
        site, device, pin, receipt, command, secret, host = parts
        try:
            return cls(
                url=f"https://{host}",
                pin=_unb64(pin).hex(),
                receipt=_key_text(receipt),
                command=_key_text(command),
                site=site,
                device=device,
                secret=_unb64(secret).hex(),
            )
        except (binascii.Error, ValueError) as error:  # pydantic's ValidationError is a ValueError
            raise damaged from error


class Join(Fact):
    """A terminal asks to join. Its own key signs it."""

    secret: Hex128
    site: Name
    device: Name
    key: KeyText
    csr: Request
    nonce: Hex128
    software: Text


class Inquiry(Fact):
    """A terminal asks what became of its request."""

    join: Hex128
    device: Name
    nonce: Hex128


class Renewal(Fact):
    """A registered terminal asks for a new transport certificate; the old one may have ended."""

    device: Name
    site: Name
    csr: Request
    nonce: Hex128


class Membership(Fact):
    """What a terminal gets that may connect."""

    certificate: Annotated[str, Field(max_length=8000)]  # PEM, for the key of its request
    authority: Annotated[str, Field(max_length=8000)]  # PEM, whose key the code has pinned
    brokers: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(min_length=1, max_length=8)]
    tz: Annotated[str, Field(max_length=48)]
    site_title: Annotated[str, Field(max_length=80)]
    ledger: Annotated[str, Field(max_length=400)] | None = None  # vkey of the collector's ledger, which it pins


class Answer(Fact):
    """The collector's word."""

    state: Literal["waiting", "approved", "denied"]
    join: Hex128 | None  # None: a renewal
    device: Name
    site: Name
    key_id: HexDigest  # of the key that asked: what both screens show
    nonce: Hex128
    time: UtcTime
    membership: Membership | None = None


def sign_join(join: Join, key: SigningKey) -> bytes:
    """Sign a request with the key that it names."""
    return sign_fact(JOIN_TYPE, join, key)


def read_join(data: bytes) -> tuple[Join, PublicKey]:
    """Read a request; its own key must have signed it, which is all that is proved. Raises an EvidenceError."""
    envelope = Envelope.decode(data)
    join = _read(Join, envelope.payload)
    key = PublicKey.parse(join.key)
    envelope.verify(key, JOIN_TYPE)
    return join, key


def peek_inquiry(data: bytes) -> Inquiry:
    """Read an inquiry only to learn whose key must have signed it. Raises an EvidenceError."""
    return _read(Inquiry, Envelope.decode(data).payload)


def peek_renewal(data: bytes) -> tuple[Renewal, str]:
    """Read a renewal only to learn which key must have signed it; return it and the id. Raises an EvidenceError."""
    envelope = Envelope.decode(data)
    return _read(Renewal, envelope.payload), envelope.signatures[0].keyid


def verify_inquiry(data: bytes, key: PublicKey) -> Inquiry:
    """Read an inquiry signed by `key`. Raises an EvidenceError."""
    return _read(Inquiry, Envelope.decode(data).verify(key, INQUIRY_TYPE))


def verify_renewal(data: bytes, key: PublicKey) -> Renewal:
    """Read a renewal signed by `key`. Raises an EvidenceError."""
    return _read(Renewal, Envelope.decode(data).verify(key, RENEWAL_TYPE))


def sign_answer(answer: Answer, key: SigningKey) -> bytes:
    """Return the encoded envelope of the collector's answer."""
    return sign_fact(JOIN_ANSWER_TYPE, answer, key)


def verify_answer(data: bytes, command_key: PublicKey, *, nonce: str, device: str, site: str, key_id: str) -> Answer:
    """Read the collector's answer to exactly this question. Raises an EvidenceError, JoinMismatch among them."""
    answer = _read(Answer, Envelope.decode(data).verify(command_key, JOIN_ANSWER_TYPE))
    if answer.nonce != nonce:
        raise JoinMismatch("the answer is to another question: it was recorded, or is late; ask again")
    if (answer.device, answer.site, answer.key_id) != (device, site, key_id):
        raise JoinMismatch(f"the answer is for {answer.site}/{answer.device} and another key than this terminal's")
    return answer


def _read(model: type[_F], payload: bytes) -> _F:
    try:
        return model.model_validate(parse_canonical(payload))
    except ValidationError as error:
        one = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in one["loc"])
        raise JoinError(f"the payload is no {model.__name__.lower()}: {where or 'it'} is wrong") from error

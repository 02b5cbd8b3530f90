"""What travels of a worker, and how it is sealed: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, AES-256-GCM.

The message around it is the seal's `info`: sender, recipient, counter and all are bound, and the sender's signature
goes over the whole. Only the recipient's transfer key opens it; the sender, once it is sealed, does not.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from evidence.canonical import canonical, parse_canonical
from evidence.errors import EncodingError
from evidence.events import Ask, Fact, Hex128, HexDigest, Text, UtcTime, WorkerCode
from evidence.transfer import Transfer
from kiosk.errors import TransferRefused

MAX_VECTORS = 16  # an enrolment takes five
MAX_DIMENSIONS = 1024  # dlib has 128, SFace 128
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Given(Fact):
    """One consent as it was given on the sender."""

    scope: Literal["face", "transfer"]
    text_version: Text
    language: Literal["zh", "en"]
    time: UtcTime


class Contents(Fact):
    """A worker's face and what it rests on. No PIN and no role travels: they are given at each terminal."""

    worker: WorkerCode
    name: Annotated[str, Field(min_length=1, max_length=100)]
    excused: tuple[Ask, ...] = ()
    model: Annotated[str, Field(min_length=1, max_length=200)]
    dimensions: Annotated[int, Field(ge=1, le=MAX_DIMENSIONS, strict=True)]
    # base64 of little-endian 32-bit floats
    vectors: Annotated[tuple[Annotated[str, Field(max_length=6000)], ...], Field(min_length=1, max_length=MAX_VECTORS)]
    commitment: HexDigest | None = None  # `template` of the sender's worker.enrolled
    enrolment: Hex128  # `authorisation` of that event
    enrolled: HexDigest | None  # its hash; None: the sender has let the event go
    consents: tuple[Given, ...]

    @model_validator(mode="after")
    def _vectors_are_vectors(self) -> Contents:
        for text in self.vectors:
            raw = base64.b64decode(text, validate=True)
            if len(raw) != 4 * self.dimensions or not np.isfinite(np.frombuffer(raw, "<f4")).all():
                raise ValueError("a template is made of finite numbers, as many as it says")
        return self

    def consent(self, scope: str) -> Given | None:
        """The consent of that scope."""
        return next((one for one in self.consents if one.scope == scope), None)

    def arrays(self) -> list[NDArray[np.float32]]:
        """The template as vectors of `dimensions` numbers."""
        return [np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32) for text in self.vectors]


def packed(vectors: NDArray[np.float32]) -> tuple[str, ...]:
    """Write a template (frames, dimensions) as `vectors`."""
    return tuple(base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors)


def seal(contents: Contents, transfer_key: bytes, around: Transfer) -> Transfer:
    """Return `around` with the contents sealed to a transfer key (32 bytes). Its own `sealed` counts for nothing."""
    plain = canonical(contents.model_dump(mode="json"))
    sealed = _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(transfer_key), info=around.bound)
    return around.model_copy(update={"sealed": base64.b64encode(sealed).decode()})


def unseal(transfer: Transfer, transfer_key: X25519PrivateKey) -> Contents:
    """Open a transfer. Raises TransferRefused with the code `unreadable` or `unfit_template`."""
    try:
        sealed = base64.b64decode(transfer.sealed or "", validate=True)
        plain = _SUITE.decrypt(sealed, transfer_key, info=transfer.bound)
    except (InvalidTag, ValueError) as error:
        raise TransferRefused("unreadable", "it is not sealed for this terminal, or was changed") from error
    try:
        return Contents.model_validate(parse_canonical(plain))
    except (ValidationError, EncodingError) as error:
        raise TransferRefused("unfit_template", "what was sealed is no template of this version") from error

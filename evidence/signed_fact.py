"""One signed fact in an envelope of its own: how receipts, permissions, commands and questions are signed and read.

What a fact means, and for whom it holds, stands in the file that is named for it.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from evidence.canonical import canonical, parse_canonical
from evidence.envelope import Envelope, sign
from evidence.errors import EvidenceError
from evidence.events import Fact, UtcTime
from evidence.keys import PublicKey, SigningKey

_F = TypeVar("_F", bound=Fact)
_utc_time: TypeAdapter[str] = TypeAdapter(UtcTime)


def sign_fact(payload_type: str, fact: Fact, *keys: SigningKey) -> bytes:
    """Return the encoded envelope, with a signature of each key in that order."""
    return sign(payload_type, canonical(fact.model_dump(mode="json")), *keys).encode()


def verify_fact(
    data: bytes, key: PublicKey, payload_type: str, model: type[_F], malformed: type[EvidenceError], what: str
) -> _F:
    """Read what `key` has signed as a `payload_type`.

    Raises an EncodingError, a SignatureError, or `malformed`, which says that the payload is not `what`.
    """
    return read_fact(Envelope.decode(data).verify(key, payload_type), model, malformed, what)


def read_fact(payload: bytes, model: type[_F], malformed: type[EvidenceError], what: str) -> _F:
    """Read a payload, whoever signed it. Raises an EncodingError or `malformed`."""
    try:
        return model.model_validate(parse_canonical(payload))
    except ValidationError as error:
        raise malformed(f"the payload is not {what}: {error.error_count()} field(s) wrong") from error


def require_utc(now: str) -> None:
    """Check that `now` is RFC 3339 UTC with milliseconds, which sorts as time does. Raises ValueError."""
    _utc_time.validate_python(now)

"""The collector's signed question: which events of a chain it lacks, so that a terminal sends just these again.

It travels on the receipt topic, beside receipts, with a payload type of its own.
"""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError, model_validator

from evidence.canonical import canonical, parse_canonical
from evidence.envelope import GAP_REQUEST_TYPE, Envelope, sign
from evidence.errors import GapRequestError, GapRequestMismatch
from evidence.events import Counter, Fact, Hex128, Name, UtcTime
from evidence.keys import PublicKey, SigningKey


class GapRequest(Fact):
    """Events `first` to `last` of this chain are missing, although later ones have come."""

    device: Name
    chain: Hex128
    first: Counter
    last: Counter
    time: UtcTime

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.last < self.first:
            raise ValueError("a gap ends where it begins or later")
        return self


def sign_gap_request(request: GapRequest, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign(GAP_REQUEST_TYPE, canonical(request.model_dump(mode="json")), key).encode()


def read_gap_request(data: bytes, key: PublicKey, device: str) -> GapRequest:
    """Read a request that the collector has signed for this device.

    Raises an EncodingError, a SignatureError, GapRequestError or GapRequestMismatch.
    """
    payload = Envelope.decode(data).verify(key, GAP_REQUEST_TYPE)
    try:
        request = GapRequest.model_validate(parse_canonical(payload))
    except ValidationError as error:
        raise GapRequestError(f"the payload is not a gap request: {error.error_count()} field(s) wrong") from error
    if request.device != device:
        raise GapRequestMismatch(f"the gap request is for {request.device}, not for {device}")
    return request

"""The collector's signed question: which events of a chain it lacks, so that a terminal sends just these again.

It travels on the receipt topic, beside receipts, with a payload type of its own.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from evidence.envelope import GAP_REQUEST_TYPE
from evidence.errors import GapRequestError, GapRequestMismatch
from evidence.events import Counter, Fact, Hex128, Name, UtcTime
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import sign_fact, verify_fact


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
    return sign_fact(GAP_REQUEST_TYPE, request, key)


def read_gap_request(data: bytes, key: PublicKey, device: str) -> GapRequest:
    """Read a request that the collector has signed for this device.

    Raises an EncodingError, a SignatureError, GapRequestError or GapRequestMismatch.
    """
    request = verify_fact(data, key, GAP_REQUEST_TYPE, GapRequest, GapRequestError, "a gap request")
    if request.device != device:
        raise GapRequestMismatch(f"the gap request is for {request.device}, not for {device}")
    return request

"""The body of `POST /add-checkpoint` (c2sp.org/tlog-witness), read as a witness answers what it cannot read."""

from __future__ import annotations

from evidence.add_checkpoint import AddCheckpoint
from evidence.errors import InvalidProof
from witness.errors import BadRequest

MAX_REQUEST_BYTES = 1_010_000  # a note and 63 hashes


def read_request(data: bytes) -> AddCheckpoint:
    """Read what somebody wants cosigned; nothing of it is believed yet. Raises BadRequest."""
    try:
        return AddCheckpoint.parse(data)
    except InvalidProof as error:
        raise BadRequest(str(error)) from error

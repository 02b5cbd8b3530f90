"""What is fuzzed: each target takes any bytes and lets nothing out but the parser's own errors.

A new parser joins by one function in TARGETS. What travels between terminal and collector is here; the ledger's texts
are in tree_targets.py, the bundle's files in bundle_targets.py. tests/fuzz replays fuzz/cases/<target>/*.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from evidence.authorisation import verify_authorisation
from evidence.clearance import verify_clearance
from evidence.command import read_command
from evidence.delivery import read_batch
from evidence.envelope import (
    AUTHORISATION_TYPE,
    CLEARANCE_TYPE,
    COMMAND_TYPE,
    DELIVERY_TYPE,
    EVENT_TYPE,
    GAP_REQUEST_TYPE,
    HANDOVER_TYPE,
    INQUIRY_TYPE,
    JOIN_ANSWER_TYPE,
    JOIN_TYPE,
    RECEIPT_TYPE,
    RENEWAL_TYPE,
    TRANSFER_ANSWER_TYPE,
    TRANSFER_KEY_TYPE,
    TRANSFER_TYPE,
    Envelope,
    sign,
)
from evidence.errors import EvidenceError, InvalidEnvelope, UnknownKey
from evidence.events import parse_body, parse_event
from evidence.gap import read_gap_request
from evidence.handover import read_handover, split_handovers
from evidence.provisioning import ClaimCode, read_join, verify_answer, verify_inquiry, verify_renewal
from evidence.receipt import PunchReceipt, read_receipt
from evidence.topics import Topic
from evidence.transfer import read_answer, read_card, read_transfer
from fuzz import bundle_targets, tree_targets
from fuzz.key import KEY, OTHER

NOW, NONE, KEY_ID = "2026-05-04T08:00:00.000Z", "0" * 32, "0" * 64
# Facts that somebody signed, each with the type under which it is signed and what reads it.
SIGNED: tuple[tuple[str, Callable[[bytes], object]], ...] = (
    (AUTHORISATION_TYPE, lambda data: verify_authorisation(data, KEY.public, "gate-1", "east", NOW)),
    (CLEARANCE_TYPE, lambda data: verify_clearance(data, KEY.public, "gate-1", "east", "0" * 32, NOW)),
    (HANDOVER_TYPE, read_handover),
    (JOIN_TYPE, read_join),
    (INQUIRY_TYPE, lambda data: verify_inquiry(data, KEY.public)),
    (RENEWAL_TYPE, lambda data: verify_renewal(data, KEY.public)),
    (
        JOIN_ANSWER_TYPE,
        lambda data: verify_answer(data, KEY.public, nonce=NONE, device="gate-1", site="east", key_id=KEY_ID),
    ),
    (TRANSFER_KEY_TYPE, read_card),
    (TRANSFER_TYPE, lambda data: read_transfer(data, KEY.public)),
    (TRANSFER_ANSWER_TYPE, lambda data: read_answer(data, KEY.public)),
)


def envelope(data: bytes) -> None:
    """Decode; what decodes is the only writing of itself."""
    one = Envelope.decode(data)
    assert one.encode() == data
    one.verify(KEY.public, EVENT_TYPE)


def event(data: bytes) -> None:
    """Read the payload of an event and its body."""
    one = parse_event(data)
    assert one.payload() is not None
    parse_body(one)


def receipt(data: bytes) -> None:
    """Read a collector's receipt."""
    read_receipt(data, KEY.public, "gate-1")


def signed_receipt(data: bytes) -> None:
    """Read a receipt whose signature stands, whatever it says."""
    read_receipt(sign(RECEIPT_TYPE, data, KEY).encode(), KEY.public, "gate-1")


def gap_request(data: bytes) -> None:
    """Read a gap request whose signature stands, whatever it says."""
    read_gap_request(sign(GAP_REQUEST_TYPE, data, KEY).encode(), KEY.public, "gate-1")


def command(data: bytes) -> None:
    """Read a command whose signature stands, whatever it says."""
    read_command(sign(COMMAND_TYPE, data, KEY).encode(), KEY.public, "gate-1", "east")


def punch_receipt(data: bytes) -> None:
    """Read a worker's QR code."""
    PunchReceipt.verify(data.decode(errors="replace"), KEY.public)


def topic(data: bytes) -> None:
    """Read a topic; what can be read is written back as it was."""
    text = data.decode(errors="replace")
    assert str(Topic.parse(text)) == text


def signed_fact(data: bytes) -> None:
    """Read a permission, a handover, a request to join or a card: its number in SIGNED, then what was signed."""
    payload_type, read = SIGNED[data[0] % len(SIGNED) if data else 0]
    signers = (KEY, OTHER) if payload_type == HANDOVER_TYPE else (KEY,)
    read(sign(payload_type, data[1:], *signers).encode())


def handovers(data: bytes) -> None:
    """Split a message of several documents, and read each."""
    documents = split_handovers(data)
    if documents is None:
        raise InvalidEnvelope("not handovers alone")
    for one in documents:
        read_handover(one)


def delivery(data: bytes) -> None:
    """Read a terminal's batch whose first line is signed, whatever it says, and look for its key among rotations."""
    said, _, rest = data.partition(b"\n")
    batch = read_batch(sign(DELIVERY_TYPE, said, KEY).encode() + b"\n" + rest)
    batch.verify([KEY.public])
    with suppress(UnknownKey):
        batch.verify([OTHER.public])


def claim_code(data: bytes) -> None:
    """Read the console's QR code; what can be read is written back as one word."""
    text = data.decode(errors="replace")
    assert ClaimCode.parse(text).text() == "".join(text.split())


OWN = (
    envelope,
    event,
    receipt,
    signed_receipt,
    gap_request,
    command,
    punch_receipt,
    topic,
    signed_fact,
    handovers,
    delivery,
    claim_code,
)
TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (*OWN, *tree_targets.TARGETS, *bundle_targets.TARGETS)
}


def run(target: str, data: bytes) -> None:
    """Feed one input. Raises what no parser may raise."""
    try:
        TARGETS[target](data)
    except EvidenceError:
        return

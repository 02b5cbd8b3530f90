"""What is fuzzed: each target takes any bytes and lets nothing out but the parser's own errors.

A new parser joins by one function in TARGETS. tests/fuzz replays fuzz/cases/<target>/* against the same functions.
"""

from __future__ import annotations

from collections.abc import Callable

from evidence.command import read_command
from evidence.envelope import EVENT_TYPE, Envelope
from evidence.errors import EvidenceError
from evidence.events import parse_body, parse_event
from evidence.gap import read_gap_request
from evidence.keys import Ed25519Key
from evidence.receipt import PunchReceipt, read_receipt
from evidence.topics import Topic

# RFC 8032, test 1: known to everybody
_PKCS8 = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"
KEY = Ed25519Key.from_pem(f"-----BEGIN PRIVATE KEY-----\n{_PKCS8}\n-----END PRIVATE KEY-----\n".encode())


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
    from evidence.envelope import RECEIPT_TYPE, sign

    read_receipt(sign(RECEIPT_TYPE, data, KEY).encode(), KEY.public, "gate-1")


def gap_request(data: bytes) -> None:
    """Read a gap request whose signature stands, whatever it says."""
    from evidence.envelope import GAP_REQUEST_TYPE, sign

    read_gap_request(sign(GAP_REQUEST_TYPE, data, KEY).encode(), KEY.public, "gate-1")


def command(data: bytes) -> None:
    """Read a command whose signature stands, whatever it says."""
    from evidence.envelope import COMMAND_TYPE, sign

    read_command(sign(COMMAND_TYPE, data, KEY).encode(), KEY.public, "gate-1", "east")


def punch_receipt(data: bytes) -> None:
    """Read a worker's QR code."""
    PunchReceipt.verify(data.decode(errors="replace"), KEY.public)


def topic(data: bytes) -> None:
    """Read a topic; what can be read is written back as it was."""
    text = data.decode(errors="replace")
    assert str(Topic.parse(text)) == text


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (envelope, event, receipt, signed_receipt, gap_request, command, punch_receipt, topic)
}


def run(target: str, data: bytes) -> None:
    """Feed one input. Raises what no parser may raise."""
    try:
        TARGETS[target](data)
    except EvidenceError:
        return

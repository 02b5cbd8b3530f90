"""The error tree of evidence: each error is named for what is wrong, its message says what to do."""

from __future__ import annotations


class EvidenceError(Exception):
    """Base of everything that can be wrong with evidence; `code` is stable and fit for a dead letter."""

    code = "evidence_error"


class EncodingError(EvidenceError):
    """The bytes are not what the format says they must be."""

    code = "encoding"


class NotJson(EncodingError):
    """The bytes are not UTF-8 JSON."""

    code = "not_json"


class DuplicateKey(EncodingError):
    """A JSON object names a key twice, so two readers could read two things."""

    code = "duplicate_key"


class NotCanonical(EncodingError):
    """The JSON is not in RFC 8785 form, so a second serialisation would have other bytes."""

    code = "not_canonical"


class TooLarge(EncodingError):
    """The message is longer than the format allows."""

    code = "too_large"


class InvalidEnvelope(EncodingError):
    """The outer object is not a DSSE v1 envelope."""

    code = "invalid_envelope"


class InvalidEvent(EncodingError):
    """The signed payload is not an event."""

    code = "invalid_event"


class InvalidBody(EncodingError):
    """The event's body does not fit its kind; the event itself stands."""

    code = "invalid_body"


class SignatureError(EvidenceError):
    """The signature does not stand."""

    code = "signature"


class InvalidKey(SignatureError):
    """The key cannot be read or is not safe to use."""

    code = "invalid_key"


class WrongPayloadType(SignatureError):
    """The signature is about another kind of statement."""

    code = "wrong_payload_type"


class UnknownKey(SignatureError):
    """The envelope names a key other than the one registered."""

    code = "unknown_key"


class BadSignature(SignatureError):
    """The signature does not fit the bytes and the registered key."""

    code = "bad_signature"


class SignatureCount(SignatureError):
    """The number of signatures is not the number that this statement needs."""

    code = "signature_count"


class ChainError(EvidenceError):
    """An event does not continue its chain."""

    code = "chain"


class WrongChain(ChainError):
    """The event belongs to another device or chain."""

    code = "wrong_chain"


class Gap(ChainError):
    """Events between the head and this one are missing."""

    code = "gap"


class Replay(ChainError):
    """The very same event was already appended."""

    code = "replay"


class Fork(ChainError):
    """Two different events claim the same place: an equivocation."""

    code = "fork"


class OutOfOrder(ChainError):
    """The event was left out where it belongs and comes too late."""

    code = "out_of_order"


class BrokenLink(ChainError):
    """The event follows in number but does not name the event before it."""

    code = "broken_link"


class BadStart(ChainError):
    """A chain starts at seq 0 with `device.enrolled` and names no predecessor event."""

    code = "bad_start"


class MonotonicRegression(ChainError):
    """Within one boot the monotonic clock ran backwards, which no honest terminal can sign."""

    code = "monotonic_regression"


class VerifiedWhileOpened(ChainError):
    """A punch is verified although an opening of the enclosure was not cleared, which no honest terminal signs."""

    code = "verified_while_opened"


class ReceiptError(EvidenceError):
    """A receipt does not cover what it is said to cover."""

    code = "receipt"


class ReceiptMismatch(ReceiptError):
    """The receipt is for another device or chain, or names a head that is not ours."""

    code = "receipt_mismatch"


class Omitted(ReceiptError):
    """A signed receipt says that this event exists, and the chain shown does not have it."""

    code = "omitted"


class GapRequestError(EvidenceError):
    """A signed question for missing events cannot be answered."""

    code = "gap_request"


class GapRequestMismatch(GapRequestError):
    """The question is for another terminal."""

    code = "gap_request_mismatch"


class AuthorisationError(EvidenceError):
    """A signed permission does not permit this."""

    code = "authorisation"


class AuthorisationExpired(AuthorisationError):
    """The permission is past its time."""

    code = "authorisation_expired"


class AuthorisationMismatch(AuthorisationError):
    """The permission is for another device, site or worker."""

    code = "authorisation_mismatch"


class CommandError(EvidenceError):
    """A signed command is not to be carried out here and now."""

    code = "command"


class CommandMismatch(CommandError):
    """The command is for another device or site."""

    code = "command_mismatch"


class CommandExpired(CommandError):
    """The command came after its time."""

    code = "command_expired"


class CommandReplayed(CommandError):
    """A later command has been taken already: this one is old, or came twice."""

    code = "command_replayed"


def by_code(code: str) -> type[EvidenceError] | None:
    """The error that bears this code, or None."""
    return _find(EvidenceError, code)


def _find(kind: type[EvidenceError], code: str) -> type[EvidenceError] | None:
    if kind.code == code:
        return kind
    for child in kind.__subclasses__():
        found = _find(child, code)
        if found is not None:
            return found
    return None

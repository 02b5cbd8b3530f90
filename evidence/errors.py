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


class RetiredKey(SignatureError):
    """The key was handed over to its successor before it signed this."""

    code = "retired_key"


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


class BundleError(EvidenceError):
    """An evidence bundle is not what it must be."""

    code = "bundle"


class NotABundle(BundleError):
    """The file is no ZIP of the one form that a bundle has."""

    code = "not_a_bundle"


class NotCanonicalZip(BundleError):
    """The file is not the one ZIP that its contents have: a byte of its structure was changed or added."""

    code = "not_canonical_zip"


class FileChanged(BundleError):
    """A file of the bundle is not the one that the manifest names."""

    code = "file_changed"


class FileMissing(BundleError):
    """The manifest names a file that the bundle does not have."""

    code = "file_missing"


class FileExtra(BundleError):
    """The bundle has a file that the manifest does not name."""

    code = "file_extra"


class InvalidManifest(BundleError):
    """The manifest cannot be read, or contradicts itself."""

    code = "invalid_manifest"


class InvalidSeal(BundleError):
    """The collector's seal is for another manifest or origin, or is none."""

    code = "invalid_seal"


class InvalidIndex(BundleError):
    """The list that explains a chain seq by seq cannot be read."""

    code = "invalid_index"


class HiddenGap(BundleError):
    """An event is neither shown nor accounted for."""

    code = "hidden_gap"


class LedgerOrder(BundleError):
    """Two events stand in another order in the ledger than in their chain, or at one place."""

    code = "ledger_order"


class RewrittenHistory(BundleError):
    """Two checkpoints cannot both be of one growing ledger: entries were changed, removed or moved."""

    code = "rewritten_history"


class CheckpointUnproved(BundleError):
    """A checkpoint that the reader holds is not connected with those in the bundle."""

    code = "checkpoint_unproved"


class HeadMismatch(BundleError):
    """The chain shown does not end where the manifest says."""

    code = "head_mismatch"


class RevocationHidden(BundleError):
    """An event admitted after its key was revoked is not marked as such."""

    code = "revocation_hidden"


class RevocationMismatch(BundleError):
    """The manifest has a terminal revoked from another ledger entry than the collector stated, or without its word."""

    code = "revocation_mismatch"


class KeyHistoryMismatch(BundleError):
    """The manifest's key history lacks a key that the collector stated to have approved."""

    code = "key_history_mismatch"


class PolicyMissing(BundleError):
    """A punch refers to a policy that the bundle does not carry."""

    code = "policy_missing"


class PolicyChanged(BundleError):
    """A policy in the bundle is not the one whose hash names it."""

    code = "policy_changed"


class Unauthorised(BundleError):
    """A hole in a chain names no entry of the ledger that authorised it."""

    code = "unauthorised"


class TimestampError(BundleError):
    """A time-stamp token does not stand for the checkpoint."""

    code = "timestamp"


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


class InvalidNote(EncodingError):
    """The bytes are not a C2SP signed note."""

    code = "invalid_note"


class InvalidCheckpoint(EncodingError):
    """The signed note is not a checkpoint."""

    code = "invalid_checkpoint"


class InvalidProof(EncodingError):
    """The text is not a C2SP tlog-proof."""

    code = "invalid_proof"


class LedgerError(EvidenceError):
    """What a ledger shows does not hold together."""

    code = "ledger"


class InclusionFailed(LedgerError):
    """The proof does not show this leaf at this place of this tree."""

    code = "inclusion_failed"


class ConsistencyFailed(LedgerError):
    """The newer tree does not begin with the older one."""

    code = "consistency_failed"


class SplitView(LedgerError):
    """The ledger has signed two histories and shown them to two readers."""

    code = "split_view"


class WrongOrigin(LedgerError):
    """The checkpoint is of another ledger."""

    code = "wrong_origin"


class MissingCosignatures(LedgerError):
    """Fewer witnesses have signed the checkpoint than the policy wants."""

    code = "missing_cosignatures"


class JoinError(EvidenceError):
    """A statement about joining a collector cannot be used."""

    code = "join"


class JoinMismatch(JoinError):
    """It answers another question, or is for another terminal."""

    code = "join_mismatch"


class TransferError(EvidenceError):
    """A message between two terminals cannot be used."""

    code = "transfer"


class TransferMismatch(TransferError):
    """It is for another terminal, or another than it names has signed it."""

    code = "transfer_mismatch"


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


class DeliveryError(EvidenceError):
    """A batch of events is not what its first line, which the terminal signed, says of it."""

    code = "delivery"

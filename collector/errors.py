"""The error tree of the collector: each error has a stable code and, for the API, the HTTP status it becomes."""

from __future__ import annotations


class CollectorError(Exception):
    """Base of everything that the collector refuses; `code` stands in API answers and dead letters."""

    code = "collector_error"
    status = 400


class NotFound(CollectorError):
    """The thing that was asked for is not here."""

    code = "not_found"
    status = 404


class Conflict(CollectorError):
    """The change contradicts what is already here."""

    code = "conflict"
    status = 409


class SeveralWait(Conflict):
    """Several terminals ask to join under one name, and nobody said which."""

    code = "several_wait"


class NameTaken(Conflict):
    """The name is the collector's own."""

    code = "name_taken"


class NameRevoked(Conflict):
    """The name is a revoked terminal's."""

    code = "name_revoked"


class NameElsewhere(Conflict):
    """The name is a terminal's at another site."""

    code = "name_elsewhere"


class Invalid(CollectorError):
    """The request can be read but not be carried out."""

    code = "invalid"
    status = 422


class NotReachable(Invalid):
    """The settings do not say how terminals reach this collector."""

    code = "not_reachable"


class Unauthorised(CollectorError):
    """No key, or one that is unknown or revoked."""

    code = "unauthorised"
    status = 401


class Forbidden(CollectorError):
    """The key is good, its scope is not enough."""

    code = "forbidden"
    status = 403


class TooManyTransfers(CollectorError):
    """A terminal has more messages for others here than are kept."""

    code = "too_many_transfers"
    status = 429


class ClaimRefused(Forbidden):
    """The one-time code is unknown, used, over, or for another terminal."""

    code = "claim_refused"


class RenewalRefused(Forbidden):
    """Nobody that may connect asks for a certificate."""

    code = "renewal_refused"


class DeliveryRefused(Forbidden):
    """A batch of events comes from nobody who may send one; `code` says what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TooManyDeliveries(CollectorError):
    """A terminal sends batches faster than it may; it keeps its events and comes again."""

    code = "too_many_deliveries"
    status = 429


class BatchTooLarge(CollectorError):
    """A request carries more than one answer can."""

    code = "too_large"
    status = 413


class SettingsError(CollectorError):
    """The settings or files that the collector starts from cannot be used."""

    code = "settings"


class SchemaTooNew(SettingsError):
    """The database was written by a later version of the collector."""

    code = "schema_too_new"


class SchemaTooOld(SettingsError):
    """The database waits for a migration that this process may not make by itself."""

    code = "schema_too_old"


class IngestRefusal(CollectorError):
    """A message cannot be admitted; it becomes a dead letter."""

    code = "refused"


class UnknownDevice(IngestRefusal):
    """No administrator has registered the device; there is no trust on first use."""

    code = "unknown_device"


class WrongTopic(IngestRefusal):
    """The topic's site and device are not those of the payload."""

    code = "wrong_topic"


class KeyMismatch(IngestRefusal):
    """A new chain's `device.enrolled` names another key than the registered one."""

    code = "key_mismatch"


class RevokedDevice(IngestRefusal):
    """A revoked device cannot open a chain."""

    code = "revoked_device"


class InDeclaredGap(IngestRefusal):
    """The event comes after an administrator gave its place up; it is kept here, and the chain has gone on."""

    code = "in_declared_gap"


class StagingFull(IngestRefusal):
    """Too many events of one device wait for a gap to close; the terminal keeps them and sends them again."""

    code = "staging_full"


class InvalidStatus(IngestRefusal):
    """A health or status message cannot be read."""

    code = "invalid_status"


class UnknownKind(IngestRefusal):
    """The event stands in the ledger, but this version cannot project its kind."""

    code = "unknown_kind"


class LedgerConflict(CollectorError):
    """Another writer took a place in the ledger between reading and inserting; the batch is taken again."""

    code = "ledger_conflict"


class LedgerDamaged(CollectorError):
    """The stored tree has holes; `fsck` names them."""

    code = "ledger_damaged"
    status = 500


class LedgerRewritten(CollectorError):
    """The ledger no longer holds what an earlier checkpoint was signed over; nothing more is signed."""

    code = "ledger_rewritten"
    status = 500


class NotCovered(NotFound):
    """The entry is there, but no checkpoint covers it yet."""

    code = "not_covered"


class KeyHandedOver(CollectorError):
    """A running process holds a key that has a successor; it signs nothing more until it is restarted."""

    code = "key_handed_over"
    status = 503


class LeaderUnknown(CollectorError):
    """Nobody can tell just now which collector leads and takes events in."""

    code = "leader_unknown"
    status = 503


class WitnessRefused(CollectorError):
    """A witness did not cosign a checkpoint; the message says which one and why."""

    code = "witness_refused"


class AnchorRefused(CollectorError):
    """A time-stamp authority gave no token that holds for a checkpoint."""

    code = "anchor_refused"

"""The error tree of the terminal's core: each error is named for what went wrong, its message says what to do."""

from __future__ import annotations


class KioskError(Exception):
    """Base of what the terminal's core raises; `code` is stable and fit for a screen, a status or a log."""

    code = "error"


class SettingsError(KioskError):
    """The settings cannot be used; the message names every wrong key."""

    code = "settings"


class IdentityError(KioskError):
    """A key file cannot be used."""

    code = "identity"


class KeyFileExposed(IdentityError):
    """Somebody else than the terminal's user may read or change the key file."""

    code = "key_file_exposed"


class KeyFileUnreadable(IdentityError):
    """The key file is there but does not hold a key, or cannot be read or made."""

    code = "key_file_unreadable"


class TpmFailed(IdentityError):
    """The TPM that holds the keys does not answer or refuses; nothing is signed without it."""

    code = "tpm_failed"


class JournalError(KioskError):
    """The journal did not keep what it was given."""

    code = "journal"


class JournalFull(JournalError):
    """There is no room: nothing was written, the chain stands where it stood, a later append may succeed."""

    code = "disk_full"


class JournalFailed(JournalError):
    """The database refused for another reason than room."""

    code = "journal_failed"


class JournalDamaged(JournalFailed):
    """What lies in the file is not the chain that this terminal wrote; it must not be continued."""

    code = "journal_damaged"


class JournalTooNew(JournalDamaged):
    """A later version wrote the journal; this one neither reads it nor sets it aside."""

    code = "journal_too_new"


class JournalForeign(JournalDamaged):
    """The journal belongs to a terminal of another name or key; the settings or the key file were changed."""

    code = "journal_foreign"


class JournalBusy(JournalFailed):
    """Another process holds the journal; two writers would fork the chain."""

    code = "journal_busy"


class StickError(KioskError):
    """Events could not be written to a file; the message says why."""

    code = "stick"


class OpeningStands(JournalError):
    """An opened enclosure was not cleared: nothing verified is signed. Nothing was written."""

    code = "enclosure_opened"


class NotCleared(KioskError):
    """The opened enclosure stays uncleared; the message says what to do."""

    code = "not_cleared"


class TerminalBusy(KioskError):
    """Somebody is being served; one at a time stands before the camera."""

    code = "terminal_busy"


class ControlError(KioskError):
    """An operator's request did not get through."""

    code = "control"


class BadRequest(ControlError):
    """The request lacks something or contradicts itself; the message says what."""

    code = "bad_request"


class NotAnswering(ControlError):
    """No service listens in this data folder."""

    code = "not_answering"


class BadgeCodesUnreadable(KioskError):
    """Nobody can say whose badge it is; the message names the line."""

    code = "badge_codes"


class UplinkError(KioskError):
    """The way to the collector is closed for now."""

    code = "uplink"


class BrokerUnreachable(UplinkError):
    """Nothing answers at the broker's address, or its certificate is not the expected one."""

    code = "broker_unreachable"


class BrokerRefused(UplinkError):
    """The broker answered and said no."""

    code = "broker_refused"


class BrokerLost(UplinkError):
    """The connection ended."""

    code = "broker_lost"


class ProvisioningError(KioskError):
    """This terminal did not join, or got no certificate."""

    code = "provisioning"


class WrongPin(ProvisioningError):
    """Whoever answers is not the collector that the code is from."""

    code = "wrong_pin"


class CollectorUnreachable(ProvisioningError):
    """Nobody answers at the collector's address."""

    code = "collector_unreachable"


class CollectorRefused(ProvisioningError):
    """The collector said no; the message is its own."""

    code = "collector_refused"


class JoinDenied(ProvisioningError):
    """An administrator refused this terminal."""

    code = "join_denied"


class JoinUnanswered(ProvisioningError):
    """No administrator has decided yet."""

    code = "join_unanswered"


class QrUnreadable(ProvisioningError):
    """No QR code can be read in the picture."""

    code = "qr_unreadable"


class TransferFailed(KioskError):
    """Faces cannot be exchanged with other terminals; the message says why."""

    code = "transfer"


class UnknownPeer(TransferFailed):
    """No terminal of that name has shown its card here, or its fingerprint is another one."""

    code = "unknown_peer"


class TransferRefused(TransferFailed):
    """What came from another terminal was not taken; `code` is the first word of the signed reason."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code

"""Signing a clear of a terminal's opened enclosure, for the newest opening that the ledger holds."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import structlog
from sqlmodel import Session, col, select

from collector.database import Database
from collector.devices.models import SignedClearance
from collector.devices.standing import require_standing
from collector.errors import Conflict, Invalid, NotFound
from collector.ledger.models import LedgerEntry
from collector.timestamps import utc_text
from evidence.clearance import Clearance, sign_clearance
from evidence.envelope import Envelope
from evidence.events import EnclosureClearedBody, Kind, parse_body, parse_event
from evidence.keys import SigningKey

MAX_CLEARANCE = timedelta(days=7)  # who has looked at a case closes it the same week

log = structlog.get_logger()


class Clearances:
    """The clears that this collector signs."""

    def __init__(self, database: Database, command_key: SigningKey) -> None:
        self._database = database
        self._command_key = command_key

    def sign(self, device: str, by: str, hours: float) -> tuple[Clearance, bytes]:
        """Sign a clear of the device's newest opening; return it and its encoded envelope.

        Raises NotFound where no opening has arrived, Conflict for one that is cleared already or a revoked terminal,
        Invalid for an odd time.
        """
        if not timedelta(0) < timedelta(hours=hours) <= MAX_CLEARANCE:
            raise Invalid(f"a clearance holds for more than 0 hours and at most {MAX_CLEARANCE.days} days")
        now = datetime.now(UTC)
        with self._database.write() as session:
            terminal = require_standing(session, device)
            opening = _newest(session, device, Kind.ENCLOSURE_OPENED)
            if opening is None:
                raise NotFound(f"no opening of {device} has arrived; connect the terminal first")
            _require_standing(session, opening)
            clearance = Clearance(
                id=secrets.token_hex(16),
                device=device,
                site=terminal.site,
                chain=opening.chain,
                opening=opening.seq,
                authorised_by=by,
                expires=utc_text(now + timedelta(hours=hours)),
            )
            row = clearance.model_dump(exclude={"site"})
            session.add(SignedClearance(**row, signed_at=utc_text(now)))
        log.warning("enclosure clearance signed", device=device, opening=clearance.opening, by=by)
        return clearance, sign_clearance(clearance, self._command_key)


def _newest(session: Session, device: str, kind: Kind) -> LedgerEntry | None:
    query = select(LedgerEntry).where(LedgerEntry.device == device, LedgerEntry.kind == kind)
    return session.exec(query.order_by(col(LedgerEntry.leaf_index).desc()).limit(1)).first()


def _require_standing(session: Session, opening: LedgerEntry) -> None:
    """Raise Conflict where the newest clear answers this opening. The envelope was verified when it was admitted."""
    cleared = _newest(session, opening.device, Kind.ENCLOSURE_CLEARED)
    if cleared is None or cleared.chain != opening.chain:
        return
    body = parse_body(parse_event(Envelope.decode(cleared.envelope).payload))
    if isinstance(body, EnclosureClearedBody) and body.opening == opening.seq:
        raise Conflict(f"opening {opening.seq} of {opening.device} was cleared at {cleared.time}")

"""fsck: follows the collector's keys as its own chain states them, and holds the table of keys against that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sqlmodel import Session, col, select

from collector.devices.keys import parse_key
from collector.statements.models import CollectorKey
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, UnknownKey
from evidence.events import Event
from evidence.handover import parse_handover
from evidence.keys import PublicKey
from evidence.statements import BegunBody, KeyRotatedBody, hands_over, parse_statement, verify_statement

Found = Callable[[str, object, str, str], NoReturn]
_TABLE = "collector_keys"


class OwnKeys:
    """The key that signs the collector's chain, from one statement to the next, and all keys that it has named."""

    def __init__(self, session: Session, found: Found) -> None:
        self._found = found
        self._rows = list(session.exec(select(CollectorKey).order_by(col(CollectorKey.id))))
        first = next((one for one in self._rows if one.purpose == "statement"), None)
        self._key = None if first is None else parse_key(first.key)
        self._stated: list[dict[str, Any]] = []  # rows as the statements give them

    def verify(self, envelope: Envelope, event: Event, place: int) -> PublicKey:
        """Check the next statement, and return the key that it had to be signed with first. Raises an EvidenceError."""
        key = self._key
        if key is None:
            raise UnknownKey("no statement key is registered")
        self._key = verify_statement(envelope, event, key)
        body = parse_statement(event)
        if isinstance(body, BegunBody):
            self._stated += [_row(purpose, text, 0) for purpose, text in body.keys.items()]
        if isinstance(body, KeyRotatedBody):
            for one in self._stated:
                if (one["purpose"], one["key"]) == (body.purpose, body.old):
                    one["retired"] = True
            handed = {"handover": (body.purpose, body.old, body.new, place)}
            self._stated.append(_row(body.purpose, body.new, event.seq + hands_over(event)) | handed)
        return key

    def finish(self) -> None:
        """Compare the table."""
        held = [_held(one) for one in self._rows]
        for row in _missing(self._stated, held):
            self._found(_TABLE, _name(row), "key", "the row that the collector's statements give is missing or another")
        for row in _missing(held, self._stated):
            self._found(_TABLE, _name(row), "key", "no statement of the collector gives this row")


def _row(purpose: str, text: str, first_seq: int) -> dict[str, Any]:
    return {"purpose": purpose, "key": text, "first_seq": first_seq, "retired": False, "handover": None}


def _held(row: CollectorKey) -> dict[str, Any]:
    key_id = parse_key(row.key).id == row.key_id
    handover: object = None
    if row.handover is not None:
        try:
            said = parse_handover(row.handover)
            handover = (said.purpose, said.old, said.new, said.tree_size)
        except EvidenceError as error:
            handover = error.code
    told = {"retired": row.retired_at is not None, "handover": handover}
    return _row(row.purpose, row.key if key_id else "", row.first_seq) | told


def _missing(rows: Sequence[dict[str, Any]], among: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in rows if one not in among]


def _name(row: dict[str, Any]) -> str:
    return f"{row['purpose']} from seq {row['first_seq']}"

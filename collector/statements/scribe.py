"""Writes the collector's statements: the next event of its chain, in the transaction of what it speaks of.

Every process has the same keys; the chain's head in the database is the one counter. A process whose keys are not the
registered ones is refused before it signs anything.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session

from collector.database import Database
from collector.errors import SettingsError
from collector.identity import CollectorKeys
from collector.ledger.appending import Appender
from collector.statements.current_keys import current_key
from collector.statements.models import CollectorKey, OwnChain
from collector.timestamps import parse_utc, utc_now
from evidence.chain import Head
from evidence.events import Event
from evidence.keys import PublicKey, SigningKey
from evidence.statements import COLLECTOR, STATEMENTS, StatementKind, continue_statements, sign_statement


class Scribe:
    """Signs for the collector. Called in a write transaction, in which it alone moves the collector's chain."""

    def __init__(self, keys: CollectorKeys, now: Callable[[], str] = utc_now) -> None:
        self._keys = keys
        self._now = now
        self._boot = secrets.token_hex(16)  # one for each process: their clocks of monotonic time are not one

    @property
    def keys(self) -> Mapping[str, PublicKey]:
        """The public keys of this process, by purpose."""
        return self._keys.public()

    def __call__(self, session: Session, kind: str, body: Mapping[str, Any]) -> None:
        """State it as an entry of its own. Raises SettingsError for foreign keys."""
        self.state(session, kind, body)

    def state(self, session: Session, kind: str, body: Mapping[str, Any]) -> int:
        """State it as an entry of its own; return its leaf index. Raises SettingsError for foreign keys."""
        appender = Appender(session, self._keys.seal)
        place = self.append(session, appender, kind, body)
        appender.write()
        return place

    def hand_over(self, session: Session, new: SigningKey, body: Mapping[str, Any]) -> int:
        """State, signed by both keys, that `new` signs this chain from the next statement on; return its leaf index.

        Nothing more is to be stated with these keys. Raises SettingsError for foreign keys.
        """
        appender = Appender(session, self._keys.seal)
        own = self._own_chain(session, appender)
        place = self._sign(session, appender, own, StatementKind.KEY_ROTATED, body, new)
        appender.write()
        return place

    def append(self, session: Session, appender: Appender, kind: str, body: Mapping[str, Any]) -> int:
        """State it among the entries that `appender` is about to write; return its leaf index."""
        own = self._own_chain(session, appender)
        return self._sign(session, appender, own, kind, body)

    def require_same_keys(self, database: Database) -> None:
        """Raise SettingsError where another process has signed with other keys than these."""
        with database.read() as session:
            self._require_registered(session)

    def _own_chain(self, session: Session, appender: Appender) -> OwnChain:
        own = session.get(OwnChain, 1)
        if own is not None:
            self._require_registered(session)
            return own
        own = OwnChain(chain=secrets.token_hex(16), head_seq=-1, head_hash="", head_boot="", head_mono_us=0)
        public = self._keys.public()
        now = self._now()
        for purpose, key in public.items():
            session.add(CollectorKey(purpose=purpose, key=key.text(), key_id=key.id, first_seq=0, added_at=now))
        keys = {purpose: key.text() for purpose, key in public.items()}
        self._sign(session, appender, own, StatementKind.BEGUN, {"keys": keys})
        return own

    def _sign(
        self, session: Session, appender: Appender, own: OwnChain, kind: str, body: Mapping[str, Any], *too: SigningKey
    ) -> int:
        now = self._now()
        model = STATEMENTS.get(kind)
        event = Event.model_validate(
            {
                "id": _uuid7(now),
                "device": COLLECTOR,
                "chain": own.chain,
                "seq": own.head_seq + 1,
                "prev": own.head_hash or None,
                "kind": kind,
                "time": now,
                "tz": "UTC",
                # Nobody here asks how good the machine's clock is, so nothing is claimed of it.
                "clock": {"source": "none", "synced": False, "error_ms": None, "synced_at": None},
                "boot": self._boot,
                "mono_us": time.monotonic_ns() // 1000,
                "site": COLLECTOR,
                "nonce": secrets.token_hex(16),
                "body": dict(body) if model is None else model.model_validate(body).model_dump(mode="json"),
            }
        )
        envelope = sign_statement(event, self._keys.statement, *too)
        head = continue_statements(_head(own), event, envelope.hash)
        place = appender.tree_size
        key_id = self._keys.statement.public.id
        appender.append(event, head.hash, envelope.encode(), key_id, now, after_revocation=False)
        own.head_seq, own.head_hash, own.head_boot, own.head_mono_us = head.seq, head.hash, head.boot, head.mono_us
        session.add(own)
        return place

    def _require_registered(self, session: Session) -> None:
        for purpose, key in self._keys.public().items():
            held = current_key(session, purpose)
            if held is not None and held.key_id != key.id:
                raise SettingsError(
                    f"this collector's {purpose} key is {key.fingerprint}, the database says that "
                    f"{PublicKey.parse(held.key).fingerprint} signs; copy the folder keys from a collector that runs"
                )


def _head(own: OwnChain) -> Head | None:
    if own.head_seq < 0:
        return None
    return Head(COLLECTOR, own.chain, own.head_seq, own.head_hash, own.head_boot, own.head_mono_us)


def _uuid7(now: str) -> str:
    """RFC 9562 section 5.7: 48 bits of milliseconds, the rest random."""
    ms = round(parse_utc(now).timestamp() * 1000)
    bits = (ms << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=bits))

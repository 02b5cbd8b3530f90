"""Rotating one of the collector's keys: the old one signs the new one in, whoever has pinned it follows.

The statement that says so is an entry of the collector's own chain. Where it is this chain's key that is replaced, both
keys sign the statement, and the new one signs all that follow. The other collectors must stand still meanwhile; they
get the new key file before they start again. One that runs on signs nothing more (current_keys.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import structlog
from sqlmodel import col, select

from collector.commands.open_commands import sign_open_anew
from collector.database import Database
from collector.devices.models import Device
from collector.durable_file import replace_file
from collector.errors import Conflict
from collector.identity import CollectorKeys
from collector.ingest.message import Answer
from collector.statements.current_keys import current_key
from collector.statements.handovers import handovers_message
from collector.statements.models import CollectorKey, OwnChain
from collector.statements.scribe import Scribe
from collector.timestamps import utc_now
from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from evidence.statements import StatementKind
from evidence.topics import Leaf, Topic

TOLD_AGAIN_AFTER_S = 600.0  # a broker that lost its retained messages has them again within ten minutes

Rotated = Literal["receipt", "command", "checkpoint", "statement"]  # all that terminals, witnesses and readers pin

_DRAFT = ".pem.new"  # ends the name of a key's file until the rotation is committed

log = structlog.get_logger()


def rotate(database: Database, keys: CollectorKeys, folder: Path, purpose: Rotated) -> Ed25519Key:
    """Make a new key, have the old one hand over, and put it in place of the old file. Return the new key.

    The new key is on the disk before the database speaks of it, and nobody else rotates or finishes meanwhile. Raises
    Conflict before the first statement, SettingsError where `keys` are no more those that sign.
    """
    old = _signing(keys, purpose)
    new = Ed25519Key.generate()
    now = utc_now()
    with database.write() as session:
        held, own = current_key(session, purpose), session.get(OwnChain, 1)
        if held is None or own is None:
            raise Conflict("the collector has stated nothing yet, so nobody holds its keys; make new key files instead")
        body = {"purpose": purpose, "old": old.public.text(), "new": new.public.text()}
        own_key = purpose == "statement"
        scribe = Scribe(keys)
        if own_key:
            place = scribe.hand_over(session, new, body)
        else:
            place = scribe.state(session, StatementKind.KEY_ROTATED, body)
        held.retired_at = now
        if purpose == "command":
            sign_open_anew(session, new, now)
        session.add(
            CollectorKey(
                purpose=purpose,
                key=new.public.text(),
                key_id=new.public.id,
                first_seq=own.head_seq + own_key,
                added_at=now,
                handover=sign_handover(purpose, old, new, now, place),
            )
        )
        replace_file(_draft(folder, purpose), new.pem())
    finish(database, folder)
    log.warning("collector key rotated", purpose=purpose, key=new.public.fingerprint)
    return new


def finish(database: Database, folder: Path) -> None:
    """Put a new key in its place that a rotation had committed before the power went; drop one that it had not.

    A rotation that another process is about to commit is waited for: its draft is no leftover.
    """
    if not any(folder.glob(f"*{_DRAFT}")):
        return
    with database.write() as session:
        for draft in sorted(folder.glob(f"*{_DRAFT}")):
            purpose = draft.name.removesuffix(_DRAFT)
            held = current_key(session, purpose)
            if held is not None and Ed25519Key.from_pem(draft.read_bytes()).public.id == held.key_id:
                draft.replace(folder / f"{purpose}.pem")
            else:
                draft.unlink()


def _draft(folder: Path, purpose: Rotated) -> Path:
    return folder / f"{purpose}{_DRAFT}"


def _signing(keys: CollectorKeys, purpose: Rotated) -> Ed25519Key:
    return {
        "receipt": keys.receipt,
        "command": keys.command,
        "checkpoint": keys.checkpoint,
        "statement": keys.statement,
    }[purpose]


class Handovers:
    """What terminals must hear of rotated keys: one retained message each, under the topic of their receipts."""

    def __init__(self, database: Database, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock_s = database, clock_s
        self._told_s: dict[str, float] = {}

    def due(self) -> list[Answer]:
        """Return the messages for terminals that were not told for a while. One thread calls it."""
        with self._database.read() as session:
            message = handovers_message(session)
            if not message:
                return []
            devices = session.exec(select(Device.name, Device.site).where(col(Device.revoked_at).is_(None))).all()
        now_s = self._clock_s()
        late = [(n, s) for n, s in devices if now_s - self._told_s.get(n, -TOLD_AGAIN_AFTER_S) >= TOLD_AGAIN_AFTER_S]
        self._told_s.update({name: now_s for name, _ in late})
        return [Answer(str(Topic(site, name, Leaf.RECEIPT)), message, retain=True) for name, site in late]

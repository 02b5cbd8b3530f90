"""fsck: holds revocations and approved chains against what the collector itself stated about its terminals.

Both are columns that no signature covers, and they decide which events count: whoever empties `revoked_at` lets a
stolen key be verified again. The statements stand in the ledger, so they are the measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from sqlmodel import Session, col, select

from collector.devices.models import Device
from collector.ledger.models import Chain, ChainState, LedgerEntry
from collector.timestamps import parse_utc
from evidence.events import Event
from evidence.statements import COLLECTOR, DeviceApprovedBody, DeviceRevokedBody, parse_statement

Found = Callable[[str, object, str, str], NoReturn]
SAME_MOMENT = timedelta(minutes=1)  # the column and the statement are written in one transaction, one after the other
_ENTRIES = "ledger_entries"


@dataclass(frozen=True, slots=True)
class _Revoked:
    place: int  # of the statement
    from_index: int
    time: str


@dataclass(frozen=True, slots=True)
class _Approved:
    place: int
    by: str


class Decisions:
    """What the collector stated about its terminals, and what stands in the tables and on the entries."""

    def __init__(self, session: Session, found: Found) -> None:
        self._session, self._found = session, found
        self._revoked: dict[str, _Revoked] = {}
        self._approved: dict[tuple[str, str], _Approved] = {}
        self._begun: dict[tuple[str, str], int] = {}  # the first entry of each chain
        self._last: dict[str, int] = {}  # the last entry of each device
        self._marked: dict[str, int] = {}  # the first marked entry of each device that nobody stated to be revoked
        self._stated = False  # a collector without a chain of its own says nothing, and is held to nothing

    def take(self, entry: LedgerEntry) -> None:
        """Take the next entry of a terminal, erased or not."""
        place = entry.leaf_index
        if entry.device == COLLECTOR:
            return
        self._begun.setdefault((entry.device, entry.chain), place)
        self._last[entry.device] = place
        revoked = self._revoked.get(entry.device)
        if revoked is None:
            if entry.after_revocation:
                self._marked.setdefault(entry.device, place)
        elif not entry.after_revocation and place >= revoked.from_index:
            self._found(_ENTRIES, place, "after_revocation", f"{_says(entry.device, revoked)}, and it is not marked")

    def hear(self, event: Event, place: int) -> None:
        """Take the next statement of the collector."""
        self._stated = True
        body = parse_statement(event)
        if isinstance(body, DeviceApprovedBody) and body.chain is not None:
            self._approved[body.device, body.chain] = _Approved(place, body.by)
        if not isinstance(body, DeviceRevokedBody) or body.device in self._revoked:
            return
        revoked = self._revoked[body.device] = _Revoked(place, body.from_index, event.time)
        marked, last = self._marked.get(body.device), self._last.get(body.device, -1)
        if marked is not None:
            self._found(_ENTRIES, marked, "after_revocation", f"it is marked, but only {_says(body.device, revoked)}")
        if last >= body.from_index:
            self._found(_ENTRIES, last, "after_revocation", f"only later, {_says(body.device, revoked)}")

    def finish(self) -> None:
        """Compare the tables."""
        devices = {row.name: row for row in self._session.exec(select(Device).order_by(col(Device.name)))}
        for name, revoked in self._revoked.items():
            device = devices.get(name)
            if device is None:
                self._found("devices", name, "name", f"{_says(name, revoked)}, but its row is missing")
            if device.revoked_at is None:
                message = f"{_says(name, revoked)}, but the column is empty: the revocation was undone by hand"
                self._found("devices", name, "revoked_at", message)
            if not _same_moment(device.revoked_at, revoked.time):
                message = f"stored {device.revoked_at!r}, ledger entry {revoked.place} states it at {revoked.time!r}"
                self._found("devices", name, "revoked_at", message)
        if not self._stated:
            return
        for name, place in self._marked.items():
            if name not in self._revoked:
                message = f"it is marked, but the collector never stated that {name} is revoked"
                self._found(_ENTRIES, place, "after_revocation", message)
        for name, row in devices.items():
            if row.revoked_at is not None and name not in self._revoked:
                message = f"stored {row.revoked_at!r}, but the collector never stated that {name} is revoked"
                self._found("devices", name, "revoked_at", message)
        self._compare_chains()

    def _compare_chains(self) -> None:
        """A device's first chain is let in by its registration, each later one by a statement."""
        first: dict[str, str] = {}
        for chain in self._session.exec(select(Chain).order_by(col(Chain.device), col(Chain.opened_at))):
            key = (chain.device, chain.chain)
            where = f"{chain.device}/{chain.chain}"
            approved, begun = self._approved.get(key), self._begun.get(key)
            by = None if approved is None else approved.by
            if chain.approved_by != by:
                message = f"stored {chain.approved_by!r}, the collector stated {by!r}"
                self._found("chains", where, "approved_by", message)
            if approved is not None:
                if chain.state == ChainState.PENDING:
                    message = f"stored {chain.state!r}, but ledger entry {approved.place} states that it was approved"
                    self._found("chains", where, "state", message)
                if begun is not None and begun < approved.place:
                    message = f"its chain was approved later, at ledger entry {approved.place}"
                    self._found(_ENTRIES, begun, "chain", message)
            elif begun is not None or chain.state == ChainState.OPEN:
                other = first.setdefault(chain.device, chain.chain)
                if other != chain.chain:
                    message = f"it was let in beside {other[:8]}…, and the collector never stated that it was approved"
                    self._found("chains", where, "state", message)


def _says(device: str, revoked: _Revoked) -> str:
    return f"ledger entry {revoked.place} states that {device} is revoked from entry {revoked.from_index} on"


def _same_moment(stored: str, stated: str) -> bool:
    try:
        return abs(parse_utc(stored) - parse_utc(stated)) <= SAME_MOMENT
    except (ValueError, TypeError):
        return False

"""Registering, approving, revoking and listing devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func
from sqlmodel import Session, col, select, update

from collector.database import Database
from collector.devices.live import DeviceState, Facts, Trouble, state_of, troubles
from collector.devices.models import Device, DeviceKey, DeviceStatus
from collector.devices.statements import Statements, record_nothing
from collector.errors import Conflict, Invalid, NotFound
from collector.ingest.gaps import SHOW_AFTER, find_gaps
from collector.ledger.models import Chain, ChainState, LedgerEntry
from collector.sites.models import Site
from collector.statements.actor import acting
from collector.timestamps import utc_now
from collector.transfers.taking import drop_from
from evidence.errors import InvalidKey
from evidence.events import Name
from evidence.keys import PublicKey
from evidence.statements import COLLECTOR

log = structlog.get_logger()


class NewDevice(BaseModel):
    """A terminal to register: its key comes from the terminal's own screen or log, never from the network."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    site: Name
    key: Annotated[str, Field(max_length=1000, description="`ed25519:…` or `es256:…`, as the terminal prints it.")]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device with its live status."""

    name: str
    site: str
    state: DeviceState
    troubles: tuple[Trouble, ...]
    added_at: str
    revoked_at: str | None
    flagged_at: str | None
    last_connect: str | None
    last_disconnect: str | None
    last_activity: str | None
    health: dict[str, Any] | None
    health_at: str | None
    chains: tuple[Chain, ...]

    @property
    def unsent(self) -> int | None:
        """Events in its journal without a receipt, as it last said."""
        return None if self.health is None else int(self.health["unsent"])


class Devices:
    """The terminals of one collector."""

    def __init__(
        self, database: Database, inactivity_timeout: timedelta, statements: Statements = record_nothing
    ) -> None:
        self._database = database
        self._state = statements
        self._inactivity_timeout = inactivity_timeout

    def add(self, new: NewDevice) -> Device:
        """Register a device with its key. Raises Conflict, NotFound for its site, Invalid for its key."""
        key = _parse(new.key)
        if new.name == COLLECTOR:
            raise Invalid(f"{COLLECTOR} is the collector's own name in the ledger; a terminal has another")
        with self._database.write() as session:
            if session.get(Site, new.site) is None:
                raise NotFound(f"there is no site {new.site}; add it first")
            if session.get(Device, new.name) is not None:
                raise Conflict(f"there is a device {new.name} already")
            held = session.exec(select(DeviceKey).where(DeviceKey.key_id == key.id)).first()
            if held is not None:
                raise Conflict(f"this key is registered for {held.device}; every terminal has a key of its own")
            now = utc_now()
            device = Device(name=new.name, site=new.site, added_at=now)
            session.add(device)
            session.flush()
            session.add(DeviceKey(device=new.name, key=key.text(), key_id=key.id, added_at=now))
            self._state(
                session, "device.approved", {"device": new.name, "chain": None, "key": key.text(), "by": acting()}
            )
        log.info("device registered", device=new.name, key=key.fingerprint)
        return device

    def revoke(self, name: str) -> Device:
        """From now on nothing of this device is verified. Raises NotFound, Conflict if it is revoked already."""
        with self._database.write() as session:
            device = _held(session, name)
            if device.revoked_at is not None:
                raise Conflict(f"{name} was revoked at {device.revoked_at}")
            device.revoked_at = utc_now()
            size = session.exec(select(func.coalesce(func.max(LedgerEntry.leaf_index) + 1, 0))).one()
            drop_from(session, name)
            self._state(session, "device.revoked", {"device": name, "from_index": size, "by": acting()})
        log.warning("device revoked", device=name)
        return device

    def approve(self, name: str, chain: str | None, by: str) -> list[str]:
        """Let a device's waiting chains in (or only `chain`); return them. Raises NotFound.

        Also of a device that was revoked meanwhile: what waits enters like all that comes after a revocation, flagged
        and never verified. A chain that begins after it does not wait: it is refused.
        """
        with self._database.write() as session:
            _held(session, name)
            waiting = select(Chain.chain).where(Chain.device == name, Chain.state == ChainState.PENDING)
            if chain is not None:
                waiting = waiting.where(Chain.chain == chain)
            chains = list(session.exec(waiting))
            if not chains:
                raise NotFound(f"no chain of {name} waits for approval")
            opened = update(Chain).where(col(Chain.device) == name, col(Chain.chain).in_(chains))
            session.exec(opened.values(state=ChainState.OPEN, approved_by=by))
            for one in chains:
                self._state(session, "device.approved", {"device": name, "chain": one, "by": by})
        log.warning("chains approved", device=name, chains=chains, by=by)
        return chains

    def keys(self, name: str) -> list[DeviceKey]:
        """Return a device's keys, oldest first. Raises NotFound."""
        with self._database.read() as session:
            _held(session, name)
            return list(session.exec(select(DeviceKey).where(DeviceKey.device == name).order_by(col(DeviceKey.id))))

    def get(self, name: str) -> DeviceView:
        """Return one. Raises NotFound."""
        with self._database.read() as session:
            _held(session, name)
            return self._views(session, name)[0]

    def all(self) -> list[DeviceView]:
        """Return all, by name."""
        with self._database.read() as session:
            return self._views(session, None)

    def _views(self, session: Session, name: str | None) -> list[DeviceView]:
        chains: dict[str, list[Chain]] = {}
        for chain in session.exec(select(Chain).order_by(col(Chain.opened_at))):
            chains.setdefault(chain.device, []).append(chain)
        query = (
            select(Device, DeviceStatus)
            .join(DeviceStatus, col(DeviceStatus.device) == col(Device.name), isouter=True)
            .order_by(col(Device.name))
        )
        if name is not None:
            query = query.where(Device.name == name)
        now = datetime.now(UTC)
        gaps = {
            gap.device: f"seq {gap.first} to {gap.last} of chain {gap.chain[:8]}… are missing since {gap.since}"
            for gap in find_gaps(session, SHOW_AFTER, now)
        }
        return [
            self._view(
                device,
                status or DeviceStatus(device=device.name),
                tuple(chains.get(device.name, ())),
                now,
                gaps.get(device.name, ""),
            )
            for device, status in session.exec(query)
        ]

    def _view(
        self, device: Device, status: DeviceStatus, chains: tuple[Chain, ...], now: datetime, gap: str
    ) -> DeviceView:
        facts = Facts(
            online=status.online,
            last_activity=status.last_activity,
            health=status.health,
            revoked=device.revoked_at is not None,
            flagged=device.flagged_at is not None,
            chain_pending=any(chain.state == ChainState.PENDING for chain in chains),
            chain_frozen=any(chain.state == ChainState.FROZEN for chain in chains),
            gap=gap,
        )
        return DeviceView(
            name=device.name,
            site=device.site,
            state=state_of(facts, now, self._inactivity_timeout),
            troubles=troubles(facts),
            added_at=device.added_at,
            revoked_at=device.revoked_at,
            flagged_at=device.flagged_at,
            last_connect=status.last_connect,
            last_disconnect=status.last_disconnect,
            last_activity=status.last_activity,
            health=status.health,
            health_at=status.health_at,
            chains=chains,
        )


def _held(session: Session, name: str) -> Device:
    device = session.get(Device, name)
    if device is None:
        raise NotFound(f"there is no device {name}")
    return device


def _parse(text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except InvalidKey as error:
        raise Invalid(str(error)) from error

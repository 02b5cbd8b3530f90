"""Whether the collector works: intake, database, broker and ledger, each with a word and a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from collector.database import Database
from collector.errors import KeyHandedOver
from collector.ingest.pump import PumpState
from collector.ingest.subscriber import BrokerState
from collector.statements.current_keys import require_current
from evidence.keys import PublicKey

STALLED_AFTER_S = 30.0  # the intake comes round twice a second; a busy disk makes that a few seconds


class PartHealth(BaseModel):
    """One part."""

    state: Literal["ok", "failed"]
    reason: Annotated[str, Field(description="Why it does not work; empty where it does.")] = ""


class Health(BaseModel):
    """The whole: ok where every part is that the collector itself answers for."""

    status: Literal["ok", "failed"]
    intake: PartHealth
    database: PartHealth
    broker: PartHealth
    checkpoints: PartHealth = PartHealth(state="ok")
    takes_events: Annotated[
        bool,
        Field(description="False: this collector stands by; of those on one database one takes the events in."),
    ] = True
    keys: Annotated[
        PartHealth, Field(description="Failed once a key of this process was handed over: it must be restarted.")
    ] = PartHealth(state="ok")
    attestations: Annotated[
        PartHealth, Field(description="Witnesses and time-stamps: others' word, so `status` does not hang on it.")
    ] = PartHealth(state="ok")
    certificates: Annotated[
        PartHealth, Field(description="Failed once they end within 60 days; until then nothing is wrong.")
    ] = PartHealth(state="ok")


def health_of(
    intake: PumpState,
    broker: BrokerState,
    database: Database,
    unsigned: str | None = None,
    unattested: Sequence[str] = (),
    own: Mapping[str, PublicKey] | None = None,
    *,
    takes_events: bool = True,
    no_leader: str | None = None,
    certificates: str | None = None,
) -> Health:
    """Judge the parts.

    `unsigned` is why no checkpoint could be signed, `unattested` whose word did not come, `own` the process's keys,
    `no_leader` why nobody can tell which collector takes events in, `certificates` what ends soon.
    """
    parts = {"intake": _intake(intake, no_leader), "broker": _broker(broker), "database": _database(database)}
    parts |= {"checkpoints": _checkpoints(unsigned), "keys": _keys(database, own or {})}
    whole: Literal["ok", "failed"] = "ok" if all(part.state == "ok" for part in parts.values()) else "failed"
    ends = PartHealth(state="ok") if certificates is None else PartHealth(state="failed", reason=certificates)
    others = {"attestations": _attestations(unattested), "certificates": ends}
    return Health(status=whole, **parts, **others, takes_events=takes_events)


def _intake(state: PumpState, no_leader: str | None) -> PartHealth:
    if not state.alive:
        return PartHealth(state="failed", reason="the intake thread has ended; restart the collector")
    if state.failing is not None:
        return PartHealth(state="failed", reason="messages cannot be written; the log says why")
    if state.undone:
        return PartHealth(state="failed", reason=f"could not be done: {', '.join(state.undone)}; the log says why")
    if no_leader is not None:
        return PartHealth(state="failed", reason="nobody can tell which collector takes events in; the log says why")
    if state.stalled_s > STALLED_AFTER_S:
        return PartHealth(state="failed", reason=f"a batch has taken {state.stalled_s:.0f} s; is the disk stuck?")
    return PartHealth(state="ok")


def _broker(state: BrokerState) -> PartHealth:
    if not state.alive:
        return PartHealth(state="failed", reason="the network thread has ended; restart the collector")
    return PartHealth(state="ok") if state.connected else PartHealth(state="failed", reason=state.reason)


def _checkpoints(unsigned: str | None) -> PartHealth:
    if unsigned is None:
        return PartHealth(state="ok")
    return PartHealth(state="failed", reason="no checkpoint can be signed over the ledger; the log says why")


def _keys(database: Database, own: Mapping[str, PublicKey]) -> PartHealth:
    try:
        with database.read() as session:
            require_current(session, own)
    except KeyHandedOver:
        return PartHealth(state="failed", reason="a key was handed over while this ran; restart the collector")
    except SQLAlchemyError:
        return PartHealth(state="failed", reason="the database cannot be read; the log says why")
    return PartHealth(state="ok")


def _attestations(unattested: Sequence[str]) -> PartHealth:
    if not unattested:
        return PartHealth(state="ok")
    return PartHealth(state="failed", reason=f"the last round failed: {', '.join(unattested)}; the log says why")


def _database(database: Database) -> PartHealth:
    try:
        with database.read() as session:
            session.connection().execute(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError:
        return PartHealth(state="failed", reason="the database cannot be read; the log says why")
    return PartHealth(state="ok")

"""What routes, pages and commands ask: one service a subject, built once on one database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from collector.auth.service import ApiKeys
from collector.commands.service import Commands
from collector.database import Database
from collector.devices.clearances import Clearances
from collector.devices.service import Devices
from collector.identity import CollectorKeys
from collector.ingest.dead_letters import Bounds, DeadLetters
from collector.ingest.deliveries import Deliveries
from collector.ingest.intake import Intake, Limits
from collector.ledger.service import Ledger
from collector.people.service import People
from collector.presence.service import PresenceIntervals
from collector.punches.service import Punches
from collector.schema import prepare
from collector.settings import Settings
from collector.sites.service import Sites


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    api_keys: ApiKeys
    sites: Sites
    people: People
    devices: Devices
    clearances: Clearances
    ledger: Ledger
    punches: Punches
    presence: PresenceIntervals
    dead_letters: DeadLetters
    commands: Commands
    deliveries: Deliveries


def open_database(settings: Settings) -> Database:
    """Open the database, making it first where it does not exist. Raises SettingsError."""
    database = Database(settings.database_path)
    prepare(database)
    return database


def build_services(settings: Settings, database: Database, keys: CollectorKeys) -> Services:
    """Build what routes, pages and commands ask."""
    return Services(
        api_keys=ApiKeys(database),
        sites=Sites(database),
        people=People(database, keys.command),
        devices=Devices(database, timedelta(seconds=settings.inactivity_timeout_s)),
        clearances=Clearances(database, keys.command),
        ledger=Ledger(database),
        punches=Punches(database),
        presence=PresenceIntervals(database),
        dead_letters=DeadLetters(database),
        commands=Commands(database, keys.command),
        deliveries=Deliveries(Intake(database, keys.receipt, keys.seal, limits_of(settings))),
    )


def limits_of(settings: Settings) -> Limits:
    """Return what an intake keeps of what it cannot admit."""
    return Limits(settings.staged_per_device, Bounds(settings.dead_letters_per_source, settings.dead_letters_kept))

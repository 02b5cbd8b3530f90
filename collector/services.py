"""What routes, pages and commands ask: one service a subject, built once on one database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from collector.auth.service import ApiKeys
from collector.commands.service import Commands
from collector.database import Database
from collector.devices.clearances import Clearances
from collector.devices.service import Devices
from collector.errors import SettingsError
from collector.evidence_bundles.service import EvidenceBundles
from collector.identity import CollectorKeys
from collector.ingest.dead_letters import DeadLetters
from collector.ledger.checkpoints import Checkpoints, log_signer
from collector.ledger.proofs import Proofs
from collector.ledger.service import Ledger
from collector.people.service import People
from collector.postgresql import PostgresqlDatabase
from collector.presence.service import PresenceIntervals
from collector.punches.service import Punches
from collector.schema import prepare
from collector.settings import Settings
from collector.sites.service import Sites
from collector.sqlite import SqliteDatabase


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    api_keys: ApiKeys
    sites: Sites
    people: People
    devices: Devices
    clearances: Clearances
    ledger: Ledger
    checkpoints: Checkpoints
    proofs: Proofs
    punches: Punches
    presence: PresenceIntervals
    dead_letters: DeadLetters
    commands: Commands
    evidence_bundles: EvidenceBundles


def open_database(settings: Settings) -> Database:
    """Open the database, making it first where it does not exist. Raises SettingsError."""
    database = connect(settings)
    try:
        prepare(database)
    except SettingsError:
        database.close()
        raise
    return database


def connect(settings: Settings) -> Database:
    """Connect to the database that the settings name, whatever its tables are. Raises SettingsError."""
    if settings.database is None:
        return SqliteDatabase(settings.database_path)
    return PostgresqlDatabase(settings.database.get_secret_value())


def build_services(settings: Settings, database: Database, keys: CollectorKeys) -> Services:
    """Build what routes, pages and commands ask. Raises SettingsError."""
    signer = log_signer(database, keys.checkpoint, settings.ledger_origin)
    checkpoints = Checkpoints(database, signer, keys.seal, settings.keepsake_path)
    return Services(
        api_keys=ApiKeys(database),
        sites=Sites(database),
        people=People(database, keys.command),
        devices=Devices(database, timedelta(seconds=settings.inactivity_timeout_s)),
        clearances=Clearances(database, keys.command),
        ledger=Ledger(database),
        checkpoints=checkpoints,
        proofs=Proofs(database, settings.witnesses_needed),
        punches=Punches(database),
        presence=PresenceIntervals(database),
        dead_letters=DeadLetters(database),
        commands=Commands(database, keys.command),
        evidence_bundles=EvidenceBundles(database, checkpoints, keys.receipt, settings.witnesses_needed),
    )

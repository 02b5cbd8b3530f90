"""What routes, pages and commands ask: one service a subject, built once on one database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from collector.auth.service import ApiKeys
from collector.commands.service import Commands
from collector.database import Database
from collector.devices.authority import load_or_create_authority
from collector.devices.clearances import Clearances
from collector.devices.joining import Joining, Reachable
from collector.devices.service import Devices
from collector.devices.statements import record_nothing
from collector.erasure.keepsake import Keepsake
from collector.erasure.service import Erasures
from collector.errors import SettingsError
from collector.evidence_bundles.service import EvidenceBundles
from collector.identity import CollectorKeys
from collector.ingest.dead_letters import Bounds, DeadLetters
from collector.ingest.deliveries import Deliveries
from collector.ingest.gaps import Gaps
from collector.ingest.intake import Intake, Limits
from collector.ingest.terminal_deliveries import TerminalDeliveries
from collector.ledger.checkpoints import Checkpoints, log_signer
from collector.ledger.proofs import Proofs
from collector.ledger.service import Ledger
from collector.ledger.showing import Showing
from collector.ledger.standing import LedgerStanding, expected_of
from collector.people.service import People
from collector.postgresql import PostgresqlDatabase
from collector.presence.service import PresenceIntervals
from collector.punches.service import Punches
from collector.schema import prepare
from collector.settings import Settings
from collector.sites.service import Sites
from collector.sqlite import SqliteDatabase
from collector.statements.audit import Auditor
from collector.statements.scribe import Scribe
from collector.statements.service import Statements
from collector.transfers.service import Transfers


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    api_keys: ApiKeys
    sites: Sites
    people: People
    devices: Devices
    clearances: Clearances
    joining: Joining
    ledger: Ledger
    checkpoints: Checkpoints
    proofs: Proofs
    standing: LedgerStanding
    punches: Punches
    presence: PresenceIntervals
    dead_letters: DeadLetters
    commands: Commands
    statements: Statements
    erasures: Erasures
    deliveries: Deliveries
    terminal_deliveries: TerminalDeliveries
    transfers: Transfers
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


def build_services(
    settings: Settings, database: Database, keys: CollectorKeys, scribe: Scribe | None = None
) -> Services:
    """Build what routes, pages and commands ask. `scribe` states what administrators do; both programs give one."""
    signer = log_signer(database, keys.checkpoint, settings.ledger_origin)
    database.auditor = None if scribe is None else Auditor(scribe)
    commands = Commands(database, keys.command)
    keepsake, retention = Keepsake(settings.erasures_path), timedelta(days=settings.retention_days)
    checkpoints = Checkpoints(database, signer, keys.seal, settings.keepsake_path)
    proofs = Proofs(database, settings.witnesses_needed)
    deliveries = Deliveries(Intake(database, keys.receipt, keys.seal, limits_of(settings), scribe=scribe))
    return Services(
        api_keys=ApiKeys(database),
        sites=Sites(database),
        people=People(database, keys.command),
        devices=Devices(database, timedelta(seconds=settings.inactivity_timeout_s), scribe or record_nothing),
        clearances=Clearances(database, keys.command),
        joining=Joining(
            database,
            keys,
            load_or_create_authority(settings.keys_path),
            Reachable(settings.public_url, settings.public_brokers, signer.public.text()),
            scribe or record_nothing,
        ),
        ledger=Ledger(database),
        checkpoints=checkpoints,
        proofs=proofs,
        standing=LedgerStanding(database, expected_of(settings)),
        punches=Punches(database),
        presence=PresenceIntervals(database),
        dead_letters=DeadLetters(database),
        commands=commands,
        erasures=Erasures(database, scribe or Scribe(keys), keepsake, commands, retention, keys.seal),
        statements=Statements(database, scribe or Scribe(keys)),
        transfers=Transfers(database),
        deliveries=deliveries,
        terminal_deliveries=TerminalDeliveries(
            database, deliveries, Gaps(database, keys.receipt), commands, Showing(database, proofs)
        ),
        evidence_bundles=EvidenceBundles(database, checkpoints, keys.receipt, settings.witnesses_needed),
    )


def limits_of(settings: Settings) -> Limits:
    """Return what an intake keeps of what it cannot admit."""
    return Limits(settings.staged_per_device, Bounds(settings.dead_letters_per_source, settings.dead_letters_kept))

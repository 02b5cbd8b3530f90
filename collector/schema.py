"""The tables of all subjects, created together, with a version in the database.

Version 1 creates everything. The next change of a table brings migrations (Alembic) with it.
"""

from __future__ import annotations

from sqlmodel import Field, Session, SQLModel, select

import collector.auth.models
import collector.commands.models
import collector.devices.models
import collector.evidence_bundles.models
import collector.ingest.models
import collector.ledger.models
import collector.people.models
import collector.presence.models
import collector.punches.models
import collector.sites.models  # noqa: F401  the imports register the tables
from collector.database import Database
from collector.errors import SchemaTooNew
from collector.timestamps import utc_now

VERSION = 1


class SchemaVersion(SQLModel, table=True):
    """Which version of the tables this database has."""

    __tablename__ = "schema_version"

    version: int = Field(primary_key=True)
    applied_at: str


def prepare(database: Database) -> None:
    """Create what is missing. Raises SchemaTooNew for a database that a later version wrote."""
    with database.write() as session:
        SQLModel.metadata.create_all(session.connection())
        held = max(session.exec(select(SchemaVersion.version)).all(), default=0)
        if held > VERSION:
            raise SchemaTooNew(f"the database has schema {held}, this version knows {VERSION}; install a newer zaigang")
        if held < VERSION:
            _record(session)


def _record(session: Session) -> None:
    session.add(SchemaVersion(version=VERSION, applied_at=utc_now()))

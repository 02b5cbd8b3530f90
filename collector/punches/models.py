"""A punch as it is kept: derived from its ledger entry, and derivable again."""

from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field, SQLModel


class Punch(SQLModel, table=True):
    """One attempt to punch, recorded or refused."""

    __tablename__ = "punches"
    __table_args__ = (
        Index("punches_by_time", "time", "leaf_index"),
        Index("punches_by_worker", "worker", "time", "leaf_index"),
        Index("punches_by_site", "site", "time", "leaf_index"),
        Index("punches_by_device", "device", "time", "leaf_index"),
    )

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    worker: str | None
    log_type: str | None
    time: str  # the event's
    tapped_at: str  # the attempt's
    tz: str
    site: str
    device: str
    method: str
    signed_verdict: str  # the terminal's
    verdict: str  # what counts: a verdict from after a revocation is at best `review`
    receipt: str  # short code that the worker saw
    clock_source: str
    clock_synced: bool
    clock_error_ms: int | None
    latitude_e7: int | None
    longitude_e7: int | None

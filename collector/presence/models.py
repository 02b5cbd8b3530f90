"""A presence interval as it is kept: derived from its ledger entry, and derivable again."""

from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field, SQLModel


class PresenceInterval(SQLModel, table=True):
    """What one terminal said of one worker's badge between two moments."""

    __tablename__ = "presence_intervals"
    __table_args__ = (
        Index("presence_by_time", "started", "leaf_index"),
        Index("presence_by_worker", "worker", "started", "leaf_index"),
        Index("presence_by_site", "site", "started", "leaf_index"),
        Index("presence_by_device", "device", "started", "leaf_index"),
    )

    leaf_index: int = Field(primary_key=True, foreign_key="ledger_entries.leaf_index")
    worker: str
    state: str  # heard, silent, deaf
    started: str  # `from` and `to` of the body, which are SQL's own words
    ended: str
    tz: str
    site: str
    device: str
    samples: int
    median_rssi: int | None
    ended_by: str
    badge: str  # rotating, constant
    clock_synced: bool  # when it was signed

"""A site as it is kept."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Site(SQLModel, table=True):
    """A place where terminals stand."""

    __tablename__ = "sites"

    name: str = Field(primary_key=True)
    title: str
    tz: str  # IANA zone
    latitude_e7: int | None = None  # degrees times 10^7, WGS 84
    longitude_e7: int | None = None
    radius_m: int | None = None  # metres round the point in which a terminal counts as at the site
    added_at: str

"""Adding, changing and listing sites."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlmodel import col, select

from collector.database import Database
from collector.errors import Conflict, NotFound
from collector.sites.models import Site
from collector.timestamps import utc_now
from evidence.events import Name


class SiteBody(BaseModel):
    """What an administrator says of a site."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=100, description="Name for people.")]
    tz: Annotated[
        str, Field(max_length=48, description="IANA time zone, e.g. Asia/Shanghai.", examples=["Asia/Shanghai"])
    ]
    latitude: Annotated[float | None, Field(ge=-90, le=90, description="Degrees, WGS 84.")] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180, description="Degrees, WGS 84.")] = None
    radius_m: Annotated[int | None, Field(ge=1, le=100_000, description="Metres round the point.")] = None

    @field_validator("tz")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(f"{value!r} is no IANA time zone") from error
        return value

    @model_validator(mode="after")
    def _all_or_nothing(self) -> SiteBody:
        if len({part is None for part in (self.latitude, self.longitude, self.radius_m)}) > 1:
            raise ValueError("a place needs latitude, longitude and radius_m together")
        return self


class NewSite(SiteBody):
    """A site and the name that topics, events and files call it by."""

    name: Name


class Sites:
    """The sites of one collector."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewSite) -> Site:
        """Add a site. Raises Conflict if the name is taken."""
        with self._database.write() as session:
            if session.get(Site, new.name) is not None:
                raise Conflict(f"there is a site {new.name} already")
            site = Site(name=new.name, added_at=utc_now(), **_columns(new))
            session.add(site)
        return site

    def change(self, name: str, body: SiteBody) -> Site:
        """Replace what is said of a site. Raises NotFound."""
        with self._database.write() as session:
            site = session.get(Site, name)
            if site is None:
                raise NotFound(f"there is no site {name}")
            for column, value in _columns(body).items():
                setattr(site, column, value)
        return site

    def get(self, name: str) -> Site:
        """Return one. Raises NotFound."""
        with self._database.read() as session:
            site = session.get(Site, name)
        if site is None:
            raise NotFound(f"there is no site {name}")
        return site

    def all(self) -> list[Site]:
        """Return all, by name."""
        with self._database.read() as session:
            return list(session.exec(select(Site).order_by(col(Site.name))))


def _columns(body: SiteBody) -> dict[str, Any]:
    return {
        "title": body.title,
        "tz": body.tz,
        "latitude_e7": None if body.latitude is None else round(body.latitude * 10_000_000),
        "longitude_e7": None if body.longitude is None else round(body.longitude * 10_000_000),
        "radius_m": body.radius_m,
    }

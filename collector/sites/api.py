"""Routes about sites."""

from __future__ import annotations

from fastapi import APIRouter, Depends, status
from pydantic import BaseModel

from collector.answers import Held, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.sites.models import Site
from collector.sites.service import NewSite, SiteBody

router = APIRouter(prefix="/sites", tags=["sites"])


class SiteAnswer(BaseModel):
    """A site."""

    name: str
    title: str
    tz: str
    latitude: float | None
    longitude: float | None
    radius_m: int | None
    added_at: UtcText


class SiteList(BaseModel):
    """All sites, by name."""

    items: list[SiteAnswer]


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List the sites")
def list_sites(held: Held) -> SiteList:
    """Return all sites, by name."""
    return SiteList(items=[_answer(site) for site in held.sites.all()])


@router.get("/{name}", dependencies=[Depends(may_read)], responses=errors(404), summary="One site")
def get_site(held: Held, name: str) -> SiteAnswer:
    """Return one site."""
    return _answer(held.sites.get(name))


@router.post(
    "",
    dependencies=[Depends(may_write)],
    responses=errors(400, 403, 409),
    status_code=status.HTTP_201_CREATED,
    summary="Add a site",
)
def add_site(held: Held, new: NewSite) -> SiteAnswer:
    """Add a site. Its name goes into topics and events and never changes."""
    return _answer(held.sites.add(new))


@router.put("/{name}", dependencies=[Depends(may_write)], responses=errors(400, 403, 404), summary="Change a site")
def change_site(held: Held, name: str, body: SiteBody) -> SiteAnswer:
    """Replace everything but the name."""
    return _answer(held.sites.change(name, body))


def _answer(site: Site) -> SiteAnswer:
    return SiteAnswer(
        name=site.name,
        title=site.title,
        tz=site.tz,
        latitude=degrees(site.latitude_e7),
        longitude=degrees(site.longitude_e7),
        radius_m=site.radius_m,
        added_at=site.added_at,
    )


def degrees(value_e7: int | None) -> float | None:
    """Turn degrees times 10^7 into degrees."""
    return None if value_e7 is None else value_e7 / 10_000_000

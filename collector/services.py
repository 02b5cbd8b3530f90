"""The services that routes and pages ask: built once by the composition root, found on the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from collector.auth.service import ApiKeys
from collector.devices.service import Devices
from collector.ingest.dead_letters import DeadLetters
from collector.ledger.service import Ledger
from collector.people.service import People
from collector.punches.service import Punches
from collector.sites.service import Sites


@dataclass(frozen=True, slots=True)
class Services:
    """One of each."""

    api_keys: ApiKeys
    sites: Sites
    people: People
    devices: Devices
    ledger: Ledger
    punches: Punches
    dead_letters: DeadLetters


def services(request: Request) -> Services:
    """Return the application's services."""
    held: Services = request.app.state.services
    return held


Held = Annotated[Services, Depends(services)]

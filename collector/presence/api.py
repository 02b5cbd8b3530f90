"""The route about presence. Its description says what a badge proves and what not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read
from collector.presence.service import PresenceFilters, PresenceView
from collector.timestamps import local_text

router = APIRouter(prefix="/presence", tags=["presence"])

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)  # every zone can still write these
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]
State = Literal["heard", "silent", "deaf"]

_DESCRIPTION = """\
Return what terminals said of workers' badges between IN and OUT, earliest first, a page at a time.

Read this before you conclude anything:

- **A badge proves where the badge is, not the person.** A colleague can carry it.
- `badge: constant` (iBeacon, AltBeacon, Eddystone UID) can be copied by any phone. `rotating` (Eddystone-EID) stops
  later copies, not a live relay.
- `silent` means that the terminal heard others and not this badge, for two minutes or more. A pocket does that too.
- `deaf` means that the terminal heard nobody: its own gap, not the worker's. Nothing is known between intervals.
- A terminal knows the punches made at itself: who punched OUT at another is followed until the longest shift ends.
- Times are the terminal's own; `clock_synced` says whether anything set its clock.
"""


class PresenceAnswer(BaseModel):
    """What one terminal said of one worker's badge between two moments."""

    id: Annotated[int, Field(description="Place in the ledger (leaf index).")]
    employee: Annotated[str, Field(description="Employee code of the worker to whom the badge belongs.")]
    employee_name: str | None
    state: Annotated[State, Field(description="heard, silent (the terminal listened), deaf (it heard nobody).")]
    since: Annotated[UtcText, Field(alias="from", description="First sighting, or since when it was listened for.")]
    to: Annotated[UtcText, Field(description="Last sighting, never later; or until when it was listened for.")]
    local_from: Annotated[str | None, Field(description="`from` in `tz`, with its offset.")]
    local_to: str | None
    tz: Annotated[str, Field(description="The site's IANA zone, as the terminal signed it.")]
    device_id: str
    site: str
    samples: Annotated[int, Field(description="Sightings counted; 0 unless heard.")]
    median_rssi: Annotated[int | None, Field(description="dBm; no distance follows from it.")]
    ended_by: Annotated[str, Field(description="Why it ended: badge_silent, out, break, scanner_stale, …")]
    badge: Annotated[Literal["rotating", "constant"], Field(description="constant: any phone can copy it.")]
    clock_synced: bool
    received_at: Annotated[UtcText, Field(description="When it reached the collector.")]
    after_revocation: Annotated[bool, Field(description="Signed with a key that had been revoked: do not rely on it.")]
    event_id: str
    chain: str
    seq: int


class PresencePage(BaseModel):
    """A page of intervals."""

    items: list[PresenceAnswer]
    next: Annotated[str | None, Field(description="Cursor of the next page; null at the end.")]


@router.get(
    "",
    dependencies=[Depends(may_read)],
    responses=errors(),
    summary="When terminals heard workers' badges",
    description=_DESCRIPTION,
)
def list_presence(
    held: Held,
    worker: Annotated[str | None, Query(max_length=64, description="Employee code.")] = None,
    site: Annotated[str | None, Query(max_length=48)] = None,
    device: Annotated[str | None, Query(max_length=48)] = None,
    state: Annotated[State | None, Query()] = None,
    since: Annotated[Moment | None, Query(alias="from", description="RFC 3339 with an offset; inclusive.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="RFC 3339 with an offset; exclusive.")] = None,
    cursor: Annotated[str | None, Query(max_length=400, description="`next` of the page before.")] = None,
    limit: Limit = 100,
) -> PresencePage:
    """Return the intervals that reach into a span of time."""
    page = held.presence.page(PresenceFilters(worker, site, device, state, since, until), cursor, limit)
    return PresencePage(items=[_answer(view) for view in page.items], next=page.next)


def _answer(view: PresenceView) -> PresenceAnswer:
    row, entry = view.interval, view.entry
    same = {"state", "tz", "site", "samples", "median_rssi", "ended_by", "badge", "clock_synced"}
    return PresenceAnswer.model_validate(
        row.model_dump(include=same)
        | {
            "id": row.leaf_index,
            "employee": row.worker,
            "employee_name": view.worker_name,
            "from": row.started,
            "to": row.ended,
            "local_from": local_text(row.started, row.tz),
            "local_to": local_text(row.ended, row.tz),
            "device_id": row.device,
            "received_at": entry.received_at,
            "after_revocation": entry.after_revocation,
            "event_id": entry.event_id,
            "chain": entry.chain,
            "seq": entry.seq,
        }
    )

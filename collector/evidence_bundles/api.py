"""Routes about evidence bundles: make one, see who had which made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from collector.answers import Held, Limit, UtcText, errors
from collector.auth.api import may_read, may_write
from collector.auth.service import Caller
from collector.evidence_bundles.picture import picture_or_error
from collector.evidence_bundles.service import bundle_name
from collector.timestamps import utc_text
from evidence.bundle_manifest import Scope
from evidence.events import Name, WorkerCode

router = APIRouter(prefix="/evidence-bundles", tags=["evidence bundles"])


class BundleRequest(BaseModel):
    """One site or one worker, and a period."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    site: Name | None = None
    worker: WorkerCode | None = None
    since: Annotated[AwareDatetime, Field(alias="from", description="RFC 3339 with an offset; inclusive.")]
    until: Annotated[AwareDatetime, Field(alias="to", description="RFC 3339 with an offset; exclusive.")]
    pdf: Annotated[bool, Field(description="With a report as PDF (not authoritative).")] = True
    checkpoint: Annotated[
        str | None, Field(max_length=65_536, description="A checkpoint that the reader kept; growth since is proved.")
    ] = None

    @model_validator(mode="after")
    def _one_question(self) -> BundleRequest:
        if (self.site is None) == (self.worker is None):
            raise ValueError("a bundle is about one site or one worker")
        if self.since >= self.until:
            raise ValueError("a period ends after it begins")
        return self


class MadeAnswer(BaseModel):
    """A bundle that was made, and by whom."""

    id: int
    made_at: UtcText
    made_by: str
    site: str | None
    worker: str | None
    since: UtcText
    until: UtcText
    tree_size: int
    sha256: str
    size: int


@router.post(
    "",
    responses={**errors(404, 409), 200: {"content": {"application/zip": {}}, "description": "The bundle."}},
    response_class=Response,
    summary="Make an evidence bundle",
)
def make_bundle(held: Held, caller: Annotated[Caller, Depends(may_write)], wanted: BundleRequest) -> Response:
    """Return the bundle. Needs scope `write`: it takes whole records out, and each one made is kept on record."""
    scope = Scope(site=wanted.site, worker=wanted.worker, since=utc_text(wanted.since), until=utc_text(wanted.until))
    made = held.evidence_bundles.make(
        scope,
        f"{caller.name} ({caller.key_id})",
        kept=None if wanted.checkpoint is None else wanted.checkpoint.encode(),
        picture=picture_or_error() if wanted.pdf else None,
    )
    name = bundle_name(scope, made.facts.made_at)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Bundle-SHA256": made.sha256,
        "X-Bundle-Problems": str(len(made.facts.problems)),
    }
    return Response(made.data, media_type="application/zip", headers=headers)


@router.get("", dependencies=[Depends(may_read)], responses=errors(), summary="List the bundles made")
def list_bundles(held: Held, limit: Limit = 100) -> list[MadeAnswer]:
    """Return who had which bundle made, newest first."""
    return [MadeAnswer(**one.model_dump()) for one in held.evidence_bundles.made(limit)]

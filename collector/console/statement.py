"""One statement of the collector: what it says, whether its signature holds, its envelope, its proof in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from collector.auth.sessions import COOKIE, Sessions
from collector.console.elements import box, facts, link, page, pill, title
from collector.console.moments import house_zone
from collector.console.statement_words import statement_row
from collector.console.statements import key_names
from collector.console.texts import Texts
from collector.errors import CollectorError, NotFound, Unauthorised
from collector.ledger.models import LedgerEntry
from collector.services import Services
from collector.statements.search import StatementView, read_statement
from evidence.canonical import MAX_SAFE_INTEGER
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, UnknownKey
from evidence.events import parse_event
from evidence.statements import StatementKey, statement_key, verify_statement
from evidence.tlog_proof import MEDIA_TYPE

_Of = Callable[[LedgerEntry], bytes]
Signature = Literal["good", "bad", "erased", "not_run"]
_TONES = {"good": "good", "bad": "bad", "erased": "off", "not_run": "warn"}


def draw_statement(services: Services, leaf_index: int, texts: Texts, who: str) -> None:
    """Draw the page."""
    with page(texts, who, "statements"):
        link("", "/statements", f"‹ {texts('statements')}")
        try:
            entry = _entry(services, leaf_index)
        except NotFound:
            title(texts("statement_not_found"))
            return
        view, state = read_statement(entry), signature_of(entry, services.statements.signers())
        row = statement_row(view, house_zone(services), key_names(services), texts)
        with box("zg-title"):
            box(text=row.says, tag="h1")
            pill(row.kind, row.tone)
            pill(texts(f"signature.{state}"), _TONES[state])
        with box("zg-detail"):
            with box(tag="section"):
                box(text=texts("signed_words"), tag="h2")
                _envelope(entry, view, texts, covered=_covered(services, leaf_index))
            with box(tag="section"):
                box(text=texts("statement"), tag="h2")
                with box("zg-card"):
                    more = [(texts("said_by"), row.by), (texts("said_reason"), row.reason), ("", row.more)]
                    facts(
                        [
                            (texts("time"), row.time),
                            (texts("utc_time"), entry.time),
                            *((name, value) for name, value in more if value),
                            (texts("ledger_place"), str(entry.leaf_index)),
                            (texts("chain"), f"{entry.chain} · {entry.seq}"),
                            (texts("envelope_hash"), entry.hash),
                            (texts("signed_with"), entry.key_id),
                            *([(texts("salt"), entry.salt.hex())] if entry.salt else ()),
                        ]
                    )


def _envelope(entry: LedgerEntry, view: StatementView, texts: Texts, *, covered: bool) -> None:
    with box("zg-card"):
        if not entry.envelope:
            box("zg-empty", texts("signature.erased"))
            return
        with box("zg-actions"):
            address = f"/statements/{entry.leaf_index}"
            link("zg-button", f"{address}/envelope", texts("download_envelope")).props["download"] = True
            if covered:
                link("zg-button", f"{address}/proof", texts("download_proof")).props["download"] = True
            else:
                box("zg-device-site", texts("proof_later"), "span")
        if view.event is not None:
            box(text=json.dumps(view.event.model_dump(mode="json"), ensure_ascii=False, indent=2), tag="pre")
        with box(tag="details"):
            box(text=texts("envelope"), tag="summary")
            box(text=entry.envelope.decode("utf-8", "backslashreplace"), tag="pre")


def signature_of(entry: LedgerEntry, keys: list[StatementKey]) -> Signature:
    """Check one statement's signature against the collector's registered keys."""
    if not entry.envelope:
        return "erased"
    try:
        envelope = Envelope.decode(entry.envelope)
        verify_statement(envelope, parse_event(envelope.payload), statement_key(keys, entry.seq))
    except UnknownKey:
        return "not_run"
    except EvidenceError:
        return "bad"
    return "good"


def _covered(services: Services, leaf_index: int) -> bool:
    try:
        services.proofs.entry(leaf_index)
    except CollectorError:
        return False
    return True


def _entry(services: Services, leaf_index: int) -> LedgerEntry:
    if not 0 <= leaf_index <= MAX_SAFE_INTEGER:
        raise NotFound(f"there is no entry {leaf_index}")
    return services.statements.get(leaf_index)


def routes(sessions: Sessions, services: Services) -> APIRouter:
    """Build the routes of the two files that go with a statement."""
    router = APIRouter(include_in_schema=False)

    @router.get("/statements/{leaf_index}/envelope")
    def envelope(request: Request, leaf_index: int) -> Response:
        return answered(request, leaf_index, "json", lambda entry: entry.envelope + b"\n", "application/json")

    @router.get("/statements/{leaf_index}/proof")
    def proof(request: Request, leaf_index: int) -> Response:
        def text(entry: LedgerEntry) -> bytes:
            return services.proofs.entry(entry.leaf_index).encode()

        return answered(request, leaf_index, "tlog-proof", text, MEDIA_TYPE)

    def answered(request: Request, leaf_index: int, ending: str, of: _Of, media_type: str) -> Response:
        try:
            sessions.holder(request.cookies.get(COOKIE))
            data = of(_entry(services, leaf_index))
        except Unauthorised:
            return RedirectResponse("/login", 303)
        except CollectorError as error:
            return Response(f"{error}\n", error.status, media_type="text/plain; charset=utf-8")
        headers = {"Content-Disposition": f'attachment; filename="statement-{leaf_index}.{ending}"'}
        return Response(data, media_type=media_type, headers=headers)

    return router

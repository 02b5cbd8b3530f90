"""What the collector has stated, in words: one sentence for each kind, who did it, and the reason that was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from collector.console.moments import shown
from collector.console.texts import Texts
from collector.statements.search import StatementView
from evidence.errors import EvidenceError
from evidence.events import Event, Fact
from evidence.statements import (
    AuditEntryBody,
    BegunBody,
    CorrectionRecordedBody,
    DeviceApprovedBody,
    DeviceRevokedBody,
    EquivocationFoundBody,
    GapDeclaredBody,
    KeyRotatedBody,
    StatementKind,
    WorkerErasureBody,
    parse_statement,
)

TONES: dict[str, str] = {
    StatementKind.DEVICE_APPROVED: "good",
    StatementKind.DEVICE_REVOKED: "bad",
    StatementKind.EQUIVOCATION_FOUND: "bad",
    StatementKind.GAP_DECLARED: "warn",
    StatementKind.CORRECTION_RECORDED: "warn",
    StatementKind.WORKER_ERASURE: "warn",
}


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One statement."""

    place: int
    time: str
    kind: str
    tone: str
    says: str
    more: str
    by: str
    reason: str


def statement_row(view: StatementView, zone: str, names: Mapping[str, str], texts: Texts) -> StatementRow:
    """Put a statement in words; its time in `zone`, API keys by their `names`."""
    entry = view.entry
    says, more = texts("unreadable_statement"), ""
    by = reason = ""
    if view.event is not None:
        says, more = words(view.event, texts)
        body = view.event.body
        by = who_acted(str(body.get("by") or body.get("who") or ""), names, texts)
        reason = str(body.get("reason") or "")
    return StatementRow(
        place=entry.leaf_index,
        time=shown(entry.time, zone),
        kind=texts.get(f"kind.{entry.kind}", entry.kind),
        tone=TONES.get(entry.kind, "off"),
        says=says,
        more=more,
        by=by,
        reason=reason,
    )


def who_acted(by: str, names: Mapping[str, str], texts: Texts) -> str:
    """Name whoever did it: `console:ID` and `apikey:ID` by the key's name, `cli:LOGIN` by the login."""
    way, _, who = by.partition(":")
    if way not in ("console", "apikey", "cli") or not who:
        return by
    return texts(f"by.{way}", who=f"{names[who]} ({who})" if who in names else who)


def words(event: Event, texts: Texts) -> tuple[str, str]:
    """Return the sentence, and what stands in small letters under it. An unknown kind is shown as it stands."""
    try:
        body = parse_statement(event)
    except EvidenceError:
        body = None
    said = _sentence(body, texts)
    return (_raw(event.body), "") if said is None else said


def _sentence(body: Fact | None, texts: Texts) -> tuple[str, str] | None:
    match body:
        case BegunBody():
            return texts("says.collector.begun", n=len(body.keys)), ""
        case KeyRotatedBody():
            return texts("says.collector.key_rotated", purpose=texts(f"purpose.{body.purpose}")), ""
        case DeviceApprovedBody(chain=None):
            return texts("says.device.approved", device=body.device), ""
        case DeviceApprovedBody():
            return texts("says.device.approved_chain", device=body.device, chain=f"{str(body.chain)[:8]}…"), ""
        case DeviceRevokedBody():
            return texts("says.device.revoked", device=body.device, from_index=body.from_index), ""
        case GapDeclaredBody():
            return texts("says.gap.declared", device=body.device, first=body.first, last=body.last), ""
        case EquivocationFoundBody():
            return texts("says.equivocation.found", device=body.device, seq=body.seq, code=body.code), ""
        case CorrectionRecordedBody():
            says = ", ".join(f"{name}: {_plain(value)}" for name, value in body.says.items())
            return texts("says.correction.recorded", device=body.device, seq=body.seq, says=says), ""
        case WorkerErasureBody():
            scope = texts(f"erasure.{body.scope}")
            return texts("says.worker.erasure", entries=body.entries, scope=scope), ""
        case AuditEntryBody():
            return _audit(body, texts)
    return None


def _audit(body: AuditEntryBody, texts: Texts) -> tuple[str, str]:
    table, _, verb = body.action.partition(".")
    target = body.worker or body.target
    says = texts(
        "says.audit.entry",
        table=texts.get(f"table.{table}", table),
        verb=texts(f"audit.{verb}"),
        target=texts("audit.several") if target == "several" else _short(target),
    )
    return says, texts("audit.columns", columns=", ".join(body.columns)) if body.columns else ""


def _short(target: str) -> str:
    """A record's key, its parts between slashes; long parts are ids and hashes, of which the beginning will do."""
    return "/".join(f"{part[:8]}…" if len(part) > 30 else part for part in target.split("/"))


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _raw(body: dict[str, JsonValue]) -> str:
    return json.dumps(body, ensure_ascii=False)

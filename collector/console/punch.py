"""One punch: the verdict, every check in words, and the evidence behind it."""

from __future__ import annotations

import json
from typing import Any

from collector.console.elements import box, link, page, pill
from collector.console.elements import facts as draw_facts
from collector.console.texts import Texts
from collector.console.view import VERDICT_TONES
from collector.errors import NotFound
from collector.punches.api import columns, evidence_of
from collector.services import Services

_OUTCOME_TONES = {"passed": "good", "failed": "bad", "not_run": "off"}


def draw_punch(services: Services, leaf_index: int, texts: Texts, who: str) -> None:
    """Draw the page."""
    with page(texts, who):
        link("", "/", f"‹ {texts('back')}")
        try:
            view = services.punches.get(leaf_index)
        except NotFound:
            box("zg-title", texts("not_found"))
            return
        row, evidence = columns(view), evidence_of(view)
        with box("zg-title"):
            who_punched = row["employee_name"] or row["employee"] or texts("unknown_worker")
            direction = texts("log." + (row["log_type"] or "none"))
            box(text=f"{who_punched} · {direction}", tag="h1")
            pill(texts(f"verdict.{row['verdict']}"), VERDICT_TONES[row["verdict"]])
        if row["after_revocation"]:
            box("zg-note", texts("after_revocation"))
        with box("zg-detail"):
            with box(tag="section"):
                box(text=texts("checks"), tag="h2")
                with box("zg-card"):
                    for check in evidence["checks"]:
                        _check(check, texts)
            with box(tag="section"):
                box(text=texts("punch"), tag="h2")
                with box("zg-card"):
                    draw_facts(_facts(row, evidence, services, texts))
        _evidence(row, evidence, texts)


def _check(check: dict[str, Any], texts: Texts) -> None:
    code, _, sentence = str(check["reason"]).partition(":")
    with box("zg-check"):
        with box():
            pill(texts(f"outcome.{check['outcome']}"), _OUTCOME_TONES[check["outcome"]])
        with box():
            box(text=texts.get(f"check.{check['name']}", check["name"]), tag="b")
            box(text=_reason(code.strip(), sentence.strip(), texts), tag="p")
            shown = [(key, check.get(key)) for key in ("observed", "expected") if check.get(key) is not None]
            if shown:
                with box("zg-values"):
                    for key, value in shown:
                        with box():
                            box(text=f"{texts(key)} ", tag="span")
                            box(text=_value(value), tag="code")


def _reason(code: str, sentence: str, texts: Texts) -> str:
    """The terminal's own sentence in English; in Chinese the code's translation, where there is one."""
    if texts.language == "en":
        return sentence or texts.get(f"reason.{code}", code)
    return texts.get(f"reason.{code}", sentence or code)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(_named(key, one) for key, one in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _named(key: str, value: object) -> str:
    if key.endswith("_e7") and isinstance(value, int):  # degrees as signed: times 10^7, since nothing signed is a float
        return f"{key.removesuffix('_e7')} {value / 1e7:.5f}"
    return f"{key} {_value(value)}"


def _facts(row: dict[str, Any], evidence: dict[str, Any], services: Services, texts: Texts) -> list[tuple[str, str]]:
    sites = {site.name: site.title for site in services.sites.all()}
    synced = texts("clock_synced" if row["clock_synced"] else "clock_unsynced")
    error = "" if row["clock_error_ms"] is None else f" ±{row['clock_error_ms']} ms"
    facts = [
        (texts("worker"), " · ".join(filter(None, (row["employee_name"], row["employee"]))) or texts("unknown_worker")),
        (texts("local_time"), f"{(row['local_time'] or '—').replace('T', ' ')} {row['tz']}"),
        (texts("utc_time"), row["time"]),
        (texts("tapped_at"), row["tapped_at"]),
        (texts("received_at"), row["received_at"]),
        (texts("clock"), f"{row['clock_source']} · {synced}{error}"),
        (texts("terminal"), row["device_id"]),
        (texts("site"), sites.get(row["site"], row["site"])),
        (texts("method"), texts.get(f"method.{row['method']}", row["method"])),
        (texts("receipt"), row["receipt"]),
    ]
    if evidence["confirmed_by"] is not None:
        facts.insert(-1, (texts("confirmed_by"), str(evidence["confirmed_by"])))
    if row["latitude"] is not None:
        facts.insert(-1, (texts("place"), f"{row['latitude']:.5f}, {row['longitude']:.5f}"))
    return facts


def _evidence(row: dict[str, Any], evidence: dict[str, Any], texts: Texts) -> None:
    with box("zg-card", tag="details"):
        box(text=texts("evidence"), tag="summary")
        draw_facts(
            [
                (texts("ledger_place"), str(row["id"])),
                (texts("chain"), f"{row['chain']} · {row['seq']}"),
                (texts("event_hash"), evidence["envelope"]["hash"]),
                (texts("policy"), evidence["policy"]),
            ]
        )
        box(text=json.dumps(evidence["envelope"]["event"], ensure_ascii=False, indent=2), tag="pre")

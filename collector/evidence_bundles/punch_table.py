"""The punches of a bundle as CSV, for a spreadsheet; marked as not authoritative."""

from __future__ import annotations

import csv
import io

from collector.evidence_bundles.facts import Facts
from collector.timestamps import local_text

COLUMNS = (
    *("time_utc", "time_local", "tz", "worker", "log_type", "method", "verdict", "signed_verdict"),
    *("device", "seq", "ledger_entry", "received_at", "late", "clock_synced"),
)


def punch_csv(facts: Facts) -> bytes:
    """Return the table: UTF-8 with a byte order mark, as spreadsheets want it for Chinese."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["NOT AUTHORITATIVE 非权威：以 chains/ 下的签名为准"])
    writer.writerow(COLUMNS)
    for one in facts.punches:
        row = (
            *(one.time, local_text(one.time, one.tz) or "", one.tz, one.worker or "", one.log_type or "", one.method),
            *(one.verdict, one.signed_verdict, one.device, one.seq, one.leaf_index, one.received_at, one.late or ""),
            "yes" if one.clock_synced else "no",
        )
        writer.writerow([_tame(str(cell)) for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _tame(cell: str) -> str:
    """Keep a spreadsheet from taking a cell for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell

"""Fifty thousand events that wait on terminals which come back: how fast the collector takes them, and in what memory.

Thirty-two terminals, a real Mosquitto and PostgreSQL, one collector process; a quarter at a time, in turns with the
limit, bare Ed25519 verification of the same events by `cryptography` on one core.
"""

from __future__ import annotations

from benchmarks.delivery import TERMINALS, WARM_UP, Spent, a_site
from benchmarks.fleet import deliver, verify_receipts
from benchmarks.progress import bar
from benchmarks.ratio import Ratio
from benchmarks.resident import resident_mib

EVENTS, SMOKE_EVENTS = 50_000, 320
QUARTERS = 4
FLAT = "<= 1.05"  # of the resident set after a quarter


def run(smoke: bool = False) -> list[Ratio]:
    """Measure. `smoke`: only see that it runs."""
    each = (SMOKE_EVENTS if smoke else EVENTS) // TERMINALS
    spent, ours_s, held_mib = Spent(), [], []
    with a_site() as site:
        with bar("signing", TERMINALS * (each + WARM_UP)) as told:
            senders = site.fleet("backlog", each + WARM_UP, told)
        with site.collectors(1) as (collector,), bar("draining", TERMINALS * each) as told:
            deliver(senders, WARM_UP)
            assert collector.process is not None
            for quarter in range(QUARTERS):
                first, last = (WARM_UP + each * one // QUARTERS for one in (quarter, quarter + 1))
                ours_s.append(spent.turn(senders, first, last, [collector]))
                held_mib.append(resident_mib(collector.process.pid))
                told(TERMINALS * (last - first))
        verify_receipts(senders, site.keys.receipt.public)
        for one in senders:
            one.close()
        site.require_whole(TERMINALS * (each + WARM_UP))
    note = f"{spent.events} events of {TERMINALS} terminals, Mosquitto and PostgreSQL"
    first_s, last_s = ours_s[0], ours_s[-1]
    part = spent.events / QUARTERS
    return [
        *spent.ratios("a backlog, signature to receipt", "one collector", note),
        Ratio("its last quarter / its first", part / last_s, part / first_s, "events/s", ">= 0.9", ""),
        Ratio("memory after it / after a quarter", held_mib[-1], held_mib[0], "MiB", FLAT, "resident set"),
    ]


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} / {row.limit:.0f} {row.unit} = {row.ratio:.3f} (wanted {row.wanted})")

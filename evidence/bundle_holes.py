"""Whether the holes of a bundle's chains are authorised: by an event that the collector signed into the same ledger."""

from __future__ import annotations

from collections import Counter

from evidence.bundle_chain import Bundle
from evidence.bundle_index import Erased, Missing
from evidence.bundle_manifest import ChainEntry
from evidence.errors import EvidenceError, HeadMismatch, Unauthorised
from evidence.events import Event

ERASES = "worker.erasure"  # the collector's event that lets payloads go
DECLARES = "gap.declared"


def check_holes(bundle: Bundle) -> None:
    """Check every tombstone and every declared gap; problems go into the report."""
    tombstones = Counter(hole.by for _, hole, _ in bundle.holes if isinstance(hole, Erased))
    for chain, hole, line in bundle.holes:
        try:
            event = bundle.report.statements.get(hole.by)
            _check(event, chain, hole)
            if event is not None and isinstance(hole, Erased):
                _check_tombstone(event, hole, tombstones[hole.by])
        except EvidenceError as error:
            file = f"chains/{chain.device}/{chain.chain}.index"
            bundle.report.add(error, file, chain=chain, seq=hole.seq, line=line)


def _check_tombstone(event: Event, hole: Erased, tombstones: int) -> None:
    """Check that the statement can be about this entry: it came later, and speaks of as many as name it."""
    if hole.leaf_index >= hole.by:
        raise Unauthorised(f"ledger entry {hole.by} cannot let entry {hole.leaf_index} go, which came after it")
    entries = event.body.get("entries")
    if type(entries) is not int or tombstones > entries:  # true is an int, too
        raise Unauthorised(
            f"ledger entry {hole.by} lets {str(entries)[:20]} entries go, {tombstones} tombstones name it"
        )


def _check(event: Event | None, chain: ChainEntry, hole: Erased | Missing) -> None:
    what = "the erasure" if isinstance(hole, Erased) else "the gap"
    if event is None:
        raise Unauthorised(f"{what} names ledger entry {hole.by}, which is no event of the collector in this bundle")
    wanted = ERASES if isinstance(hole, Erased) else DECLARES
    if event.kind != wanted:
        raise Unauthorised(f"{what} names ledger entry {hole.by}, which is {event.kind} and not {wanted}")
    if isinstance(hole, Missing):
        body = event.body
        if (body.get("device"), body.get("chain")) != (chain.device, chain.chain):
            raise Unauthorised(f"ledger entry {hole.by} declares a gap of another chain")
        first, last = body.get("first"), body.get("last")
        if not (isinstance(first, int) and isinstance(last, int) and first <= hole.seq and hole.last <= last):
            raise Unauthorised(f"ledger entry {hole.by} declares another range than seq {hole.seq} to {hole.last}")
        if hole.last == chain.head_seq and body.get("next_prev") != chain.head_hash:
            raise HeadMismatch(f"the chain ends with a gap after which ledger entry {hole.by} expects another hash")

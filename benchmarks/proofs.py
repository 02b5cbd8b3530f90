"""Inclusion proofs of a ledger of ten million entries, against the 200 a second that are promised.

The tiles are those of ten million leaves, written as the intake writes them; of the entries only those after the last
full tile are there, for no proof reads more.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from benchmarks.ratio import Ratio
from collector.database import Database
from collector.identity import load_or_create_keys
from collector.ledger.models import LedgerEntry, LedgerTile
from collector.ledger.tree import Tree, write_full_tiles
from collector.services import build_services, open_database
from collector.settings import load_settings
from evidence.merkle import leaf_hash, root_of, verify_inclusion
from evidence.tiles import TILE_WIDTH
from evidence.tlog_proof import TlogProof

LEAVES, SMOKE_LEAVES = 10_000_000, 20_000
PROOFS, SMOKE_PROOFS = 2000, 20
WANTED_PER_S = 200.0
SEED = 4


def run(smoke: bool = False) -> list[Ratio]:
    """Measure. `smoke`: only see that it runs."""
    leaves, proofs = (SMOKE_LEAVES, SMOKE_PROOFS) if smoke else (LEAVES, PROOFS)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data=Path(folder))
        keys = load_or_create_keys(settings.keys_path)
        database = open_database(settings)
        _fill(database, leaves)
        services = build_services(settings, database, keys)
        services.checkpoints.sign()
        places = random.Random(SEED).sample(range(leaves), proofs)
        began = time.perf_counter()
        texts = [services.proofs.entry(place).encode() for place in places]
        took_s = time.perf_counter() - began
        with database.read() as session:
            root = Tree(session).root(leaves)
        for place, text in zip(places, texts, strict=True):
            verify_inclusion(_leaf(place), place, leaves, TlogProof.decode(text).path, root)
        database.close()
    note = f"{proofs} random entries of {leaves:,}, SQLite, one core; limit: what is promised"
    return [Ratio("proofs of entries", proofs / took_s, WANTED_PER_S, "proofs/s", ">= 1.0", note)]


def _leaf(place: int) -> bytes:
    return leaf_hash(hashlib.sha256(place.to_bytes(8, "big")).digest())


def _fill(database: Database, leaves: int) -> None:
    full = leaves // TILE_WIDTH
    for start in range(0, full, 1000):
        rows = []
        for number in range(start, min(start + 1000, full)):
            hashes = [_leaf(place) for place in range(number * TILE_WIDTH, (number + 1) * TILE_WIDTH)]
            rows.append({"level": 0, "number": number, "hashes": b"".join(hashes), "root": root_of(hashes)})
        with database.write() as session:
            session.connection().execute(insert(LedgerTile), rows)
    # The last entry is needed even where it fills a tile: the size is told by it.
    with database.write() as session:
        for place in range(min(full * TILE_WIDTH, leaves - 1), leaves):
            session.add(_entry(place))
        session.flush()
        write_full_tiles(session, leaves)


def _entry(place: int) -> LedgerEntry:
    data = hashlib.sha256(place.to_bytes(8, "big")).digest()
    return LedgerEntry(
        leaf_index=place,
        device="bench",
        chain="bench",
        seq=place,
        hash=data.hex(),
        prev=None,
        kind="coverage",
        event_id="",
        time="",
        tz="",
        site="",
        boot="",
        mono_us=0,
        key_id="",
        received_at="",
        after_revocation=False,
        envelope=b"",
        salt=b"",
        leaf_data=data,
        leaf_hash=_leaf(place),
        seal=b"",
    )

"""Inclusion proofs of a ledger of ten million entries, against the 200 a second that are promised.

The tiles are those of ten million leaves, written as the intake writes them; of the entries only those after the last
full tile are there, for no proof reads more.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import uvicorn
from sqlalchemy import insert

from benchmarks.progress import bar
from benchmarks.ratio import Ratio
from collector.auth.service import Scope
from collector.database import Database
from collector.healthz import Health, PartHealth
from collector.identity import load_or_create_keys
from collector.ledger.models import LedgerEntry, LedgerTile
from collector.ledger.tree import Tree, write_full_tiles
from collector.services import Services, build_services, open_database
from collector.settings import load_settings
from collector.web import PREFIX, create_api
from evidence.merkle import leaf_hash, root_of, verify_inclusion
from evidence.tiles import TILE_WIDTH
from evidence.tlog_proof import TlogProof
from tests.support.ports import free_port, wait_for_port

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
        with bar("filling", leaves) as told:
            _fill(database, leaves, told)
        services = build_services(settings, database, keys)
        services.checkpoints.sign()
        _, key = services.api_keys.create("bench", Scope.READ)
        chosen = random.Random(SEED)
        with database.read() as session:
            root = Tree(session).root(leaves)
        rates = []
        with served(services) as port:
            for ask in (lambda place: services.proofs.entry(place).encode(), asking(port, key)):
                places = chosen.sample(range(leaves), proofs)
                began = time.perf_counter()
                texts = [ask(place) for place in places]
                rates.append(proofs / (time.perf_counter() - began))
                for place, text in zip(places, texts, strict=True):
                    verify_inclusion(_leaf(place), place, leaves, TlogProof.decode(text).path, root)
        database.close()
    note = f"{proofs} random entries of {leaves:,}, SQLite; limit: what is promised"
    return [
        Ratio("proofs of entries, in the process", rates[0], WANTED_PER_S, "proofs/s", ">= 1.0", note),
        Ratio(
            "the same, asked for over HTTP", rates[1], WANTED_PER_S, "proofs/s", ">= 1.0", "one client, one at a time"
        ),
    ]


@contextmanager
def served(services: Services) -> Iterator[int]:
    """Serve the collector's API from a thread; yield its port."""
    good = PartHealth(state="ok")
    app = create_api(services, lambda: Health(status="ok", intake=good, database=good, broker=good))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for_port(port)
    yield port
    server.should_exit = True
    thread.join()


def asking(port: int, key: str) -> Callable[[int], bytes]:
    """Return what asks for the proof of an entry over one connection that stays open."""
    line = HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(place: int) -> bytes:
        line.request("GET", f"{PREFIX}/ledger/entries/{place}/proof", headers={"Authorization": f"Bearer {key}"})
        answer = line.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"no proof of entry {place}: {answer.status} {text[:200]!r}")
        return text

    return ask


def _leaf(place: int) -> bytes:
    return leaf_hash(hashlib.sha256(place.to_bytes(8, "big")).digest())


def _fill(database: Database, leaves: int, told: Callable[[int], None]) -> None:
    full = leaves // TILE_WIDTH
    for start in range(0, full, 1000):
        rows = []
        for number in range(start, min(start + 1000, full)):
            hashes = [_leaf(place) for place in range(number * TILE_WIDTH, (number + 1) * TILE_WIDTH)]
            rows.append({"level": 0, "number": number, "hashes": b"".join(hashes), "root": root_of(hashes)})
        with database.write() as session:
            session.connection().execute(insert(LedgerTile), rows)
        told(len(rows) * TILE_WIDTH)
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

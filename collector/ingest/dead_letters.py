"""Dead letters: what could not be admitted or projected is kept with its reason, bounded, and always counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from collector.database import Database, insert_into
from collector.errors import NotFound
from collector.ingest.models import DeadLetter, DeadLetterCount

CONTENT_BYTES = 4096  # an honest event fits; of garbage the beginning, the length and the hash are enough


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many dead letters are kept; beyond it they are only counted."""

    per_source: int = 500
    in_all: int = 10_000


@dataclass(slots=True)
class DeadLetterBox:
    """The dead letters of one transaction."""

    bounds: Bounds
    _letters: dict[tuple[str, str, str], DeadLetter] = field(default_factory=dict)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(
        self, source: str, topic: str, payload: bytes, code: str, message: str, at: str, leaf_index: int | None = None
    ) -> None:
        """Note one. `source` is a registered device or ""."""
        digest = hashlib.sha256(payload).hexdigest()
        self._counts[source, code] += 1
        held = self._letters.get((source, code, digest))
        if held is not None:
            held.times += 1
            held.last_at = at
            return
        self._letters[source, code, digest] = DeadLetter(
            source=source,
            topic=topic[:200].replace("\0", "\ufffd"),  # PostgreSQL keeps no NUL in a text
            code=code,
            message=message[:400].replace("\0", "\ufffd"),
            size=len(payload),
            sha256=digest,
            content=payload[:CONTENT_BYTES],
            leaf_index=leaf_index,
            received_at=at,
            last_at=at,
        )

    def write(self, session: Session) -> None:
        """Store what fits the bounds and count everything."""
        if not self._counts:
            return
        for letter in self._letters.values():
            if not self._seen_before(session, letter) and self._has_room(session, letter.source):
                session.add(letter)
                session.flush()
        for (source, code), times in self._counts.items():
            last_at = max(x.last_at for x in self._letters.values() if (x.source, x.code) == (source, code))
            count = insert_into(session, DeadLetterCount).values(source=source, code=code, times=times, last_at=last_at)
            session.exec(
                count.on_conflict_do_update(
                    index_elements=["source", "code"],
                    set_={"times": DeadLetterCount.times + count.excluded.times, "last_at": count.excluded.last_at},
                )
            )

    def _seen_before(self, session: Session, letter: DeadLetter) -> bool:
        again = (
            update(DeadLetter)
            .where(
                col(DeadLetter.source) == letter.source,
                col(DeadLetter.code) == letter.code,
                col(DeadLetter.sha256) == letter.sha256,
            )
            .values(times=DeadLetter.times + letter.times, last_at=letter.last_at)
        )
        return bool(session.exec(again).rowcount)

    def _has_room(self, session: Session, source: str) -> bool:
        kept = select(func.count()).select_from(DeadLetter)
        if session.exec(kept.where(col(DeadLetter.source) == source)).one() >= self.bounds.per_source:
            return False
        return session.exec(kept).one() < self.bounds.in_all


class DeadLetters:
    """Questions about dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, before: int | None, limit: int) -> list[DeadLetter]:
        """Return kept dead letters, newest first, with ids below `before`."""
        with self._database.read() as session:
            query = select(DeadLetter).order_by(col(DeadLetter.id).desc()).limit(limit)
            if before is not None:
                query = query.where(col(DeadLetter.id) < before)
            return list(session.exec(query))

    def get(self, letter: int) -> DeadLetter:
        """Return one. Raises NotFound."""
        with self._database.read() as session:
            found = session.get(DeadLetter, letter)
        if found is None:
            raise NotFound(f"there is no dead letter {letter}")
        return found

    def counts(self) -> list[DeadLetterCount]:
        """Return how many there were, by source and code, kept or not."""
        with self._database.read() as session:
            return list(session.exec(select(DeadLetterCount).order_by(DeadLetterCount.source, DeadLetterCount.code)))

    def total(self) -> int:
        """Return how many there were in all."""
        with self._database.read() as session:
            return int(session.exec(select(func.coalesce(func.sum(DeadLetterCount.times), 0))).one())

"""Signs commands, sends them until they are answered or have ended, and says what came of them."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from collector.commands.models import CommandAnswer, SentCommand
from collector.commands.open_commands import open_commands
from collector.database import Database
from collector.devices.standing import require_standing
from collector.errors import Conflict, Invalid, NotFound
from collector.ingest.message import Answer
from collector.people.models import Worker
from collector.statements.current_keys import require_current
from collector.timestamps import parse_utc, utc_now, utc_text
from evidence.command import SPOT_CHECK, Command, SpotCheckOrder, sign_command
from evidence.keys import SigningKey
from evidence.topics import Leaf, Topic

TAKEN_UP_WITHIN = timedelta(minutes=10)  # a terminal that is offline for longer calls nobody: the moment has passed
AGAIN_AFTER_S = 15.0  # an open command is sent again at this pace; the terminal knows it by its number


@dataclass(frozen=True, slots=True)
class CommandView:
    """A command and its first answer."""

    command: SentCommand
    answer: CommandAnswer | None

    def state(self, now: str) -> str:
        """Open, ended (never answered in time), or the answer's outcome."""
        if self.answer is not None:
            return self.answer.outcome
        return "open" if self.command.expires > now else "ended"


class Commands:
    """Commands to terminals. `key` is the one that terminals have pinned."""

    def __init__(self, database: Database, key: SigningKey, now: Callable[[], str] = utc_now) -> None:
        self._database, self._key, self._now = database, key, now
        self._sent_s: dict[bytes, float] = {}  # by this process, monotonic seconds

    def spot_check(self, worker: str, device: str, minutes: int, by: str) -> CommandView:
        """Order a worker to show up at a terminal within `minutes` (1 to 60).

        Raises NotFound, Invalid for odd minutes, Conflict for a worker who has left or a revoked terminal.
        """
        if not 1 <= minutes <= 60:
            raise Invalid("a spot check gives 1 to 60 minutes")
        with self._database.read() as session:
            held = session.get(Worker, worker)
            if held is None:
                raise NotFound(f"there is no worker {worker}")
            if not held.active:
                raise Conflict(f"{worker} has left")
        order = SpotCheckOrder(worker=worker, minutes=minutes)
        return self.issue(device, SPOT_CHECK, order.model_dump(mode="json"), by, TAKEN_UP_WITHIN)

    def issue(self, device: str, action: str, body: dict[str, Any], by: str, lasts: timedelta) -> CommandView:
        """Sign the next command for a device. Raises NotFound, KeyHandedOver, or Conflict for a revoked terminal."""
        now = self._now()
        with self._database.write() as session:
            terminal = require_standing(session, device)
            require_current(session, {"command": self._key.public})
            command = Command(
                id=secrets.token_hex(16),
                device=device,
                site=terminal.site,
                counter=_last_counter(session, device) + 1,
                action=action,
                body=body,
                issued_by=by,
                issued=now,
                expires=utc_text(parse_utc(now) + lasts),
            )
            row = SentCommand(**command.model_dump(), envelope=sign_command(command, self._key))
            session.add(row)
        return CommandView(row, None)

    def get(self, command_id: str) -> CommandView:
        """Return one command. Raises NotFound."""
        with self._database.read() as session:
            row = session.get(SentCommand, command_id)
            if row is None:
                raise NotFound(f"there is no command {command_id}")
            return CommandView(row, _first_answer(session, command_id, row.device))

    def page(
        self, action: str | None, device: str | None, before: tuple[str, str] | None, limit: int
    ) -> list[CommandView]:
        """Return commands, the newest first, older than `before` (issued, id)."""
        query = select(SentCommand).order_by(col(SentCommand.issued).desc(), col(SentCommand.id).desc()).limit(limit)
        if action is not None:
            query = query.where(SentCommand.action == action)
        if device is not None:
            query = query.where(SentCommand.device == device)
        if before is not None:
            issued, last = before
            older = col(SentCommand.issued) < issued
            query = query.where(older | ((col(SentCommand.issued) == issued) & (col(SentCommand.id) < last)))
        with self._database.read() as session:
            rows: Sequence[SentCommand] = session.exec(query).all()
            return [CommandView(row, _first_answer(session, row.id, row.device)) for row in rows]

    def due(self) -> list[Answer]:
        """Return what is to be sent now: what is open and was not sent for AGAIN_AFTER_S. One thread calls it."""
        now_s = time.monotonic()
        answers = self.open()
        still = {one.payload for one in answers}
        self._sent_s = {payload: at for payload, at in self._sent_s.items() if payload in still}
        due = [one for one in answers if now_s - self._sent_s.get(one.payload, -math.inf) >= AGAIN_AFTER_S]
        self._sent_s.update({one.payload: now_s for one in due})
        return due

    def open(self, device: str | None = None) -> list[Answer]:
        """Return what is neither answered nor ended, in the order of the numbers; of one device or of all."""
        query = open_commands(self._now())
        if device is not None:
            query = query.where(SentCommand.device == device)
        with self._database.read() as session:
            return [Answer(str(Topic(row.site, row.device, Leaf.COMMAND)), row.envelope) for row in session.exec(query)]


def _last_counter(session: Session, device: str) -> int:
    last: int | None = session.exec(select(func.max(SentCommand.counter)).where(SentCommand.device == device)).one()
    return last or 0


def _first_answer(session: Session, command_id: str, device: str) -> CommandAnswer | None:
    """Of the terminal that was asked: another one has nothing to say of it."""
    query = select(CommandAnswer).where(CommandAnswer.command == command_id, CommandAnswer.device == device)
    return session.exec(query.order_by(col(CommandAnswer.leaf_index)).limit(1)).first()

"""Signed commands from the collector: checked, kept, handed to whoever carries them out, answered by one event each.

A command is on disk before it is carried out and answered in the commit of its `command.done`, so a restart neither
loses one nor does one twice without saying so. What cannot be believed is counted and logged, and not answered: an
answer would be a signature on a stranger's demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog
from pydantic import JsonValue

from evidence.command import Command, read_command, require_timely
from evidence.envelope import Envelope
from evidence.errors import CommandExpired, CommandReplayed, EvidenceError, UnknownKey
from evidence.events import CommandDoneBody, Kind
from evidence.keys import PublicKey
from kiosk.errors import JournalError
from kiosk.journal import COMMAND_ANSWER, Journal
from kiosk.journal_author import Recorded

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    outcome: Literal["done", "failed", "refused"]
    reason: str  # a stable code first, then a plain sentence
    result: Mapping[str, JsonValue]


class Handler(Protocol):
    """Carries out one action. Returns at once: what takes time is answered later through `CommandDesk.answer`."""

    def __call__(self, command: Command, *, restarted: bool) -> Done | None:
        """`restarted`: the command was taken before this start. None: the answer comes later. Whatever it raises is
        a refusal.
        """
        ...


class CommandDesk:
    """The terminal's inbox. `now` gives RFC 3339 UTC with milliseconds; `wake` tells the uplink of a new event."""

    def __init__(
        self,
        journal: Journal,
        *,
        site: str,
        keys: Sequence[PublicKey],
        now: Callable[[], str],
        wake: Callable[[], None],
    ) -> None:
        self.counts: Counter[str] = Counter()  # taken, repeated, refused
        self._journal, self._site, self._now, self._wake = journal, site, now, wake
        self._keys = {key.id: key for key in keys}
        self._handlers: dict[str, Handler] = {}
        self._owed: dict[str, tuple[Command, Done]] = {}  # by id: done, and the journal had no room for the answer

    def trust(self, keys: Sequence[PublicKey]) -> None:
        """Believe these keys of the collector from now on."""
        self._keys = {key.id: key for key in keys}

    def handle(self, action: str, handler: Handler) -> None:
        """Have `handler` carry out `action`."""
        self._handlers[action] = handler

    def resume(self) -> None:
        """Go on with what was taken and not answered when the program ended. Raises a JournalError.

        What cannot be read any more, a damaged row or a command by a key that was handed over since, stays open and
        stops nobody: punching does not hang on it.
        """
        for data in self._journal.open_commands():
            try:
                command = self._read(data)
            except EvidenceError as error:
                log.error("command_not_resumed", code=error.code, why=str(error), bytes=len(data))
                continue
            self._carry_out(command, restarted=True)

    def receive(self, data: bytes) -> None:
        """Take a message from the command topic; never raises."""
        try:
            command = self._read(data)
            if self._journal.knows_command(command.id):
                self.counts["repeated"] += 1  # the collector sends until it has the answer
                self._answer_what_is_owed(command.id)
                return
            self._take(command, data)
        except EvidenceError as error:
            self.counts["refused"] += 1
            log.warning("command_refused", code=error.code, why=str(error), count=self.counts["refused"])
        except JournalError as error:  # it comes again, and there may be room by then
            log.error("command_not_taken", code=error.code, why=str(error))
        except Exception:
            self.counts["errors"] += 1
            log.exception("command_not_handled", bytes=len(data))

    def answer(self, command: Command, done: Done) -> Recorded | None:
        """Sign what came of a command, once; None if it was answered before.

        Raises a JournalError; it then stays open until the next start.
        """
        body = CommandDoneBody(
            command=command.id,
            counter=command.counter,
            action=command.action,
            outcome=done.outcome,
            reason=done.reason[:400],
            result=dict(done.result),
        )
        recorded = self._journal.append_once(COMMAND_ANSWER + command.id, Kind.COMMAND_DONE, body)
        if recorded is not None:
            self._wake()
            log.info("command_done", action=command.action, outcome=done.outcome, reason=done.reason)
        return recorded

    def _take(self, command: Command, data: bytes) -> None:
        """Judge number and time, keep it, carry it out. Raises CommandReplayed or a JournalError."""
        late = ""
        try:
            require_timely(command, self._journal.last_command, self._now())
        except CommandExpired as error:
            late = str(error)
        if not self._journal.take_command(command.counter, command.id, data):
            raise CommandReplayed(f"command {command.counter} was taken before")
        self.counts["taken"] += 1
        if late:  # its number is used up, and whoever sent it learns why nothing happened
            self._owe(command, Done("refused", f"expired: {late}", {}))
            return
        self._carry_out(command, restarted=False)

    def _carry_out(self, command: Command, *, restarted: bool) -> None:
        handler = self._handlers.get(command.action)
        if handler is None:
            done: Done | None = Done("refused", f"unknown_action: this terminal cannot do {command.action}", {})
        else:
            try:
                done = handler(command, restarted=restarted)
            except Exception as error:
                log.exception("command_failed", action=command.action)
                done = Done("refused", f"error: {type(error).__name__}: {error}", {})
        if done is not None:
            self._owe(command, done)

    def _owe(self, command: Command, done: Done) -> None:
        """Answer; what the journal does not take now, it is asked for when the command comes again."""
        self._owed[command.id] = (command, done)
        self._answer_what_is_owed(command.id)

    def _answer_what_is_owed(self, command_id: str) -> None:
        owed = self._owed.get(command_id)
        if owed is not None:
            self.answer(*owed)
            del self._owed[command_id]

    def _read(self, data: bytes) -> Command:
        """Raises an EvidenceError."""
        named = Envelope.decode(data).signatures[0].keyid
        key = self._keys.get(named)
        if key is None:
            raise UnknownKey("the command is signed by a key that is not pinned here")
        return read_command(data, key, self._journal.device, self._site)

"""Commands that no terminal has answered yet and that have not ended."""

from __future__ import annotations

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from collector.commands.models import CommandAnswer, SentCommand
from evidence.command import Command, sign_command
from evidence.keys import SigningKey


def open_commands(now: str) -> SelectOfScalar[SentCommand]:
    """Return the question for them at `now` (RFC 3339 UTC with milliseconds), by device and number."""
    answered = select(CommandAnswer.command).where(CommandAnswer.device == SentCommand.device)
    return (
        select(SentCommand)
        .where(SentCommand.expires > now, col(SentCommand.id).not_in(answered))
        .order_by(col(SentCommand.device), col(SentCommand.counter))
    )


def sign_open_anew(session: Session, key: SigningKey, now: str) -> None:
    """Sign each with `key`, under its number: a terminal that was away meanwhile believes the new key alone."""
    for row in session.exec(open_commands(now)):
        command = Command.model_validate(row.model_dump(include=set(Command.model_fields)))
        row.envelope = sign_command(command, key)
        session.add(row)

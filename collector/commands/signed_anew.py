"""Open commands under another key: a terminal that was away meanwhile believes the new key alone."""

from __future__ import annotations

from sqlmodel import Session, col, select

from collector.commands.models import CommandAnswer, SentCommand
from evidence.command import Command, sign_command
from evidence.keys import SigningKey


def sign_open_anew(session: Session, key: SigningKey, now: str) -> int:
    """Sign every command that is neither answered nor ended with `key`, under its number; return how many."""
    answered = select(CommandAnswer.command).where(CommandAnswer.device == SentCommand.device)
    query = select(SentCommand).where(SentCommand.expires > now, col(SentCommand.id).not_in(answered))
    rows = session.exec(query).all()
    for row in rows:
        command = Command.model_validate(row.model_dump(include=set(Command.model_fields)))
        row.envelope = sign_command(command, key)
        session.add(row)
    return len(rows)

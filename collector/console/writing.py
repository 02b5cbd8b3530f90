"""Who changes something on a page: judged anew at each change, and named in the audit as the console's user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collector.auth.service import Caller, Scope
from collector.auth.sessions import Sessions
from collector.console.texts import Texts
from collector.errors import Forbidden
from collector.statements.actor import acting_as


def writer_of(sessions: Sessions, cookie: str, texts: Texts) -> Caller:
    """Return who may write by this session: its key may have been revoked since the page was drawn.

    Raises Unauthorised, Forbidden.
    """
    now = sessions.holder(cookie)
    if not now.may(Scope.WRITE):
        raise Forbidden(texts("read_only"))
    return now


@contextmanager
def acting_writer(sessions: Sessions, cookie: str, texts: Texts) -> Iterator[Caller]:
    """Let what happens inside be this session's doing. Raises Unauthorised, Forbidden."""
    caller = writer_of(sessions, cookie, texts)
    with acting_as(console_user(caller)):
        yield caller


def console_user(caller: Caller) -> str:
    """Return how the audit names whoever acts on a page."""
    return f"console:{caller.key_id}"

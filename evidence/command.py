"""A signed order from the collector to one terminal: numbered, with an end, answered by a `command.done` event.

The counter rises with every command to a device; a terminal takes none that is not above the last one it took. So a
recorded command cannot be played again, and a lost one is not made up for behind a later one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from evidence.envelope import COMMAND_TYPE
from evidence.errors import CommandError, CommandExpired, CommandMismatch, CommandReplayed
from evidence.events import Counter, Fact, Hex128, Name, Text, UtcTime, WorkerCode
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import require_utc, sign_fact, verify_fact

SPOT_CHECK = "spot_check"
ERASE_WORKER = "erase_worker"


class Command(Fact):
    """One order. `body` is by action; an unknown action is answered as refused, never passed over."""

    id: Hex128
    device: Name
    site: Name
    counter: Annotated[Counter, Field(ge=1)]
    action: Annotated[str, Field(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)*$", max_length=48)]
    body: dict[str, JsonValue]
    issued_by: Text
    issued: UtcTime
    expires: UtcTime  # taken up before this, or not at all


class SpotCheckOrder(Fact):
    """Body of the action `spot_check`: this worker is to show up within so many minutes."""

    worker: WorkerCode
    minutes: Annotated[int, Field(ge=1, le=60, strict=True)]


class EraseWorkerOrder(Fact):
    """Body of the action `erase_worker`: what lies on the terminal of this worker goes; `face`: the template alone."""

    worker: WorkerCode
    scope: Literal["face", "all"]


def sign_command(command: Command, key: SigningKey) -> bytes:
    """Return the encoded envelope."""
    return sign_fact(COMMAND_TYPE, command, key)


def read_command(data: bytes, key: PublicKey, device: str, site: str) -> Command:
    """Read a command that the collector has signed for this terminal, whatever its time and number.

    Raises an EncodingError, a SignatureError, CommandError or CommandMismatch.
    """
    command = verify_fact(data, key, COMMAND_TYPE, Command, CommandError, "a command")
    if (command.device, command.site) != (device, site):
        raise CommandMismatch(f"the command is for {command.site}/{command.device}")
    return command


def require_timely(command: Command, last_counter: int, now: str) -> None:
    """Check that a command is new and not late. `last_counter`: of the last one taken, 0 before the first.

    `now`: RFC 3339 UTC with milliseconds, else ValueError. Raises CommandReplayed or CommandExpired.
    """
    require_utc(now)
    if command.counter <= last_counter:
        raise CommandReplayed(f"command {command.counter} came after command {last_counter}")
    if command.expires <= now:  # the fixed-width UTC form sorts as time does
        raise CommandExpired(f"the command ended at {command.expires}")

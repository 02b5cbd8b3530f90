"""What the worker's screen shows and what it can ask for: plain values, no pages.

The pages call a `TerminalService` and draw a `TerminalView`; they never touch journal, camera or tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from evidence.events import Ask, LogType, Method, Verdict


class Phase(StrEnum):
    """Where the terminal is in the life of a punch."""

    IDLE = "idle"  # choose IN or OUT; no camera picture, no face detection
    LOOKING = "looking"  # come in front of the camera; a hint says what is wrong
    HOLD = "hold"  # the face is good; hold still until the prompt
    PROMPT = "prompt"  # do what is asked
    CHECKING = "checking"  # matching, then committing
    CONSENT = "consent"  # whoever was enrolled decides whether the face may go to the site's other terminals
    RESULT = "result"
    OUT_OF_ORDER = "out_of_order"  # nothing can be recorded: `troubles` says why and whom to call


class Purpose(StrEnum):
    """What the camera is looking for."""

    PUNCH = "punch"  # the worker himself
    CONFIRM = "confirm"  # the supervisor who stands for a worker
    ENROL = "enrol"  # somebody who is being enrolled, or the supervisor who permits it


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a punch as the worker sees it; shown only after the journal has committed it."""

    verdict: Verdict
    method: Method
    worker: str | None  # employee code
    name: str | None  # as enrolled on this terminal
    log_type: LogType | None
    local_time: str  # "2026-11-22 07:58:03" in the site's zone
    clock_synced: bool
    receipt_code: str | None  # short code, None where nothing was recorded
    receipt_qr: str | None  # content of the QR code (evidence.receipt.PunchReceipt.text)
    reasons: tuple[str, ...]  # codes of what failed or could not run, most important first
    other_methods: tuple[Method, ...]  # what the worker can do instead, on this screen


@dataclass(frozen=True, slots=True)
class Called:
    """A worker who is to show up now, for a spot check."""

    name: str  # as enrolled on this terminal
    seconds_left: int


@dataclass(frozen=True, slots=True)
class BadgeRead:
    """A badge that was held to the reader and waits for IN or OUT; `number` tells two readings of one badge apart."""

    number: int
    worker: str  # employee code


@dataclass(frozen=True, slots=True)
class Light:
    """A colour that the whole screen shall show now, to light the face; acknowledged by `painted`."""

    attempt: int  # which attempt of this terminal
    number: int  # which colour of the attempt, from 0
    colour: tuple[int, int, int]  # red, green, blue, 0..255


@dataclass(frozen=True, slots=True)
class TerminalView:
    """One snapshot of the terminal for its screen."""

    version: int  # rises with every change
    phase: Phase
    site: str
    device: str
    face_available: bool  # False: camera or models are down, only badge and PIN
    supervisor_available: bool = False  # True: a supervisor is enrolled here and the site lets him confirm
    purpose: Purpose = Purpose.PUNCH
    hint: str | None = None  # a quality code while LOOKING
    ask: Ask | None = None
    log_type: LogType | None = None
    prompt_step: tuple[int, int] = (0, 0)  # which prompt of how many, from 1
    seconds_left: int | None = None
    badge: BadgeRead | None = None  # while IDLE: goes into the field as if it had been typed
    result: Result | None = None
    call: Called | None = None  # shown while IDLE
    unsent: int = 0  # events not yet covered by a receipt
    online: bool = False
    over_https: bool = False  # online, though no broker is there
    troubles: tuple[str, ...] = ()  # codes such as disk_full, camera_stalled
    tz: str = "UTC"  # the site's IANA zone: the clock on the screen is the site's, not the browser's
    clock_synced: bool = True  # False: the screen says that its time may be wrong
    presence: bool = False  # this site notes when a worker's badge is heard, and the idle screen announces it
    contact: str = ""  # whom to call when nothing works: a name and a number; empty: "the site manager"


class TerminalService(Protocol):
    """What the screen may ask of the terminal. Calls return at once and are safe from any thread."""

    def view(self) -> TerminalView:
        """The newest snapshot."""
        ...

    def tap(self, log_type: LogType, badge: str | None) -> None:
        """Start the face path; `badge` is the employee code typed or read, None for recognition without one."""
        ...

    def badge_pin(self, log_type: LogType, badge: str, pin: str) -> None:
        """Punch without a face."""
        ...

    def confirm(self, log_type: LogType, badge: str, supervisor: str, pin: str | None) -> None:
        """Let the supervisor of that code stand for a worker; without his PIN the camera looks at him."""
        ...

    def answer_call(self, pin: str | None) -> None:
        """The called worker is there: look at the face, or check the PIN where one is given."""
        ...

    def answer_consent(self, *, agreed: bool, language: Literal["zh", "en"]) -> None:
        """Whoever was asked has decided; `language`: in which the question stood there."""
        ...

    def cancel(self) -> None:
        """Give up the running attempt; the attempt is kept with its time."""
        ...

    def dismiss(self) -> None:
        """Close the result and return to idle."""
        ...

    def picture(self) -> bytes | None:
        """The newest camera picture as JPEG, everyone but the dominant face blurred; None while idle."""
        ...

    def light(self) -> Light | None:
        """What colour the screen shall show now; None: its own."""
        ...

    def painted(self, attempt: int, number: int, age_us: int) -> None:
        """The page has shown that colour of that attempt since `age_us` ago."""
        ...

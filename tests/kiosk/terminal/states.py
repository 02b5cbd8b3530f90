"""Every state that the screen can be in, by name: for the tests that look at all of them, and for the pictures."""

from __future__ import annotations

from dataclasses import replace

from evidence.events import Ask, LogType, Method, Verdict
from evidence.keys import Ed25519Key
from evidence.receipt import PunchReceipt
from kiosk.terminal.texts import HINTS
from kiosk.terminal.view import Called, Phase, Purpose, Result, TerminalView
from tests.kiosk.terminal.scripted import IDLE

RECEIPT = PunchReceipt("gate-1", "5b" * 16, 40213, "c4" * 32, "2026-11-22T23:58:03.120Z").text(Ed25519Key.generate())
LONGEST_RECEIPT = PunchReceipt("g" * 48, "5b" * 16, 10**15, "c4" * 32, "2026-11-22T23:58:03.120Z").text(
    Ed25519Key.generate()
)

VERIFIED = Result(
    verdict=Verdict.VERIFIED,
    method=Method.FACE,
    worker="10086",
    name="陈海燕",
    log_type=LogType.IN,
    local_time="2026-11-23 07:58:03",
    clock_synced=True,
    receipt_code="7KQ2M8TX",
    receipt_qr=RECEIPT,
    reasons=(),
    other_methods=(),
)
REVIEW = replace(VERIFIED, verdict=Verdict.REVIEW, reasons=("no_fix", "not_heard"))
REFUSED = replace(
    VERIFIED,
    verdict=Verdict.REFUSED,
    worker=None,
    name=None,
    reasons=("flat", "too_little_turn"),
    other_methods=(Method.FACE, Method.BADGE_PIN, Method.SUPERVISOR),
)
CALLED_IN_VAIN = replace(
    REFUSED,
    worker="10086",
    log_type=None,
    receipt_code=None,
    receipt_qr=None,
    reasons=("too_little_turn", "call_goes_on"),
    other_methods=(Method.BADGE_PIN, Method.FACE),
)


def _live(phase: Phase, **values: object) -> TerminalView:
    return replace(IDLE, phase=phase, log_type=LogType.IN, **values)  # type: ignore[arg-type]


def _result(result: Result, **values: object) -> TerminalView:
    return replace(IDLE, phase=Phase.RESULT, log_type=result.log_type, result=result, **values)  # type: ignore[arg-type]


STATES: dict[str, TerminalView] = {
    "idle": IDLE,
    "idle_supervisor": replace(IDLE, supervisor_available=True),
    "idle_called": replace(IDLE, call=Called("欧阳娜娜", 272)),
    "idle_called_no_face": replace(IDLE, face_available=False, call=Called("Konstantin Papadopoulos-Wang", 59 * 60)),
    "idle_offline": replace(IDLE, online=False, unsent=12345),
    "idle_over_https": replace(IDLE, online=True, over_https=True, unsent=12345),
    "idle_no_face": replace(IDLE, face_available=False, troubles=("camera_stalled",)),
    "idle_troubles": replace(IDLE, troubles=("disk_full", "enclosure_opened", "no_receiver"), clock_synced=False),
    "idle_presence": replace(IDLE, presence=True),
    "idle_presence_troubles": replace(
        IDLE, presence=True, troubles=("disk_full", "enclosure_opened", "no_receiver"), clock_synced=False
    ),
    "looking": _live(Phase.LOOKING, seconds_left=14),
    **{f"hint_{hint}": _live(Phase.LOOKING, hint=hint, seconds_left=12) for hint in HINTS},
    "hold": _live(Phase.HOLD, seconds_left=9),
    **{f"ask_{ask.value}": _live(Phase.PROMPT, ask=ask, prompt_step=(1, 2), seconds_left=6) for ask in Ask},
    "confirm_looking": _live(Phase.LOOKING, purpose=Purpose.CONFIRM, seconds_left=14),
    "enrol_looking": replace(IDLE, phase=Phase.LOOKING, purpose=Purpose.ENROL, prompt_step=(2, 5)),
    "enrol_next_person": replace(
        IDLE, phase=Phase.LOOKING, purpose=Purpose.ENROL, hint="next_person", prompt_step=(0, 5)
    ),
    "consent": replace(IDLE, phase=Phase.CONSENT, purpose=Purpose.ENROL, seconds_left=57),
    "checking": _live(Phase.CHECKING),
    "verified": _result(VERIFIED),
    "verified_pin_out": _result(replace(VERIFIED, method=Method.BADGE_PIN, log_type=LogType.OUT, clock_synced=False)),
    "verified_long": _result(
        replace(VERIFIED, name="Abdurrahman ibn Muhammad al-Mutawakkil the Younger", receipt_qr=LONGEST_RECEIPT)
    ),
    "review": _result(REVIEW),
    "review_long": _result(
        replace(
            REVIEW, clock_synced=False, receipt_qr=LONGEST_RECEIPT, reasons=("no_scanner", "insufficient", "suspect")
        )
    ),
    "confirmed": _result(replace(REVIEW, method=Method.SUPERVISOR, reasons=("confirmed",))),
    "refused": _result(REFUSED),
    "refused_confirmation": _result(
        replace(
            REFUSED,
            method=Method.SUPERVISOR,
            worker="10086",
            reasons=("wrong_pin", "not_confirmed"),
            other_methods=(Method.FACE, Method.BADGE_PIN, Method.SUPERVISOR),
        )
    ),
    "refused_too_often": _result(
        replace(
            REFUSED, method=Method.SUPERVISOR, clock_synced=False, reasons=("too_many_confirmations", "face_locked")
        )
    ),
    "refused_long": _result(
        replace(
            REFUSED,
            clock_synced=False,
            name="Abdurrahman ibn Muhammad",
            reasons=("flat", "no_match", "wrong_pin", "no_fix"),
        )
    ),
    "refused_pin": _result(
        replace(
            REFUSED,
            method=Method.BADGE_PIN,
            worker="10086",
            reasons=("wrong_pin",),
            other_methods=(Method.BADGE_PIN, Method.FACE),
        )
    ),
    "refused_unrecorded": _result(replace(REFUSED, receipt_code=None, receipt_qr=None, reasons=("journal_failed",))),
    "refused_called": _result(CALLED_IN_VAIN),
    "review_called": _result(
        replace(CALLED_IN_VAIN, verdict=Verdict.REVIEW, reasons=("no_scanner", "call_goes_on", "insufficient"))
    ),
    "out_of_order": replace(IDLE, phase=Phase.OUT_OF_ORDER, troubles=("disk_full",)),
    "out_of_order_long": replace(
        IDLE,
        phase=Phase.OUT_OF_ORDER,
        troubles=("journal_failed", "camera_failed", "no_receiver"),
        contact="",
        online=False,
    ),
}

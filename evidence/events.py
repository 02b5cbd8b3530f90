"""The vocabulary: an event, and the body of every kind of event.

An event says what one terminal saw, when its clock said it was, and which event came before. Bodies are models of
their own; a kind or a field that a reader does not know is kept as it came and passed on.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticSerializationError

from evidence.canonical import MAX_SAFE_INTEGER, canonical, parse_canonical
from evidence.errors import InvalidBody, InvalidEvent


def _existing_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]  # fits a topic level, a file name and a QR code
HexDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
UuidV7 = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
UtcTime = Annotated[
    str,
    # [0-9], for \d takes the digits of every script; the date must also exist, so that any reader can convert it.
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"),
    AfterValidator(_existing_time),
]
Counter = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER, strict=True)]
Text = Annotated[str, Field(max_length=400)]
MAX_CHECKPOINT_TEXT = 2000  # three lines and one signature: 400 letters where the origin is as long as it may be
WorkerCode = Annotated[
    str,  # fits a topic level and an URL's path; no control characters: it is printed on screens and in tables
    Field(min_length=1, max_length=64, pattern=r"^[^\s/+#\p{C}](?:[^/+#\p{C}\p{Zl}\p{Zp}]*[^\s/+#\p{C}])?$"),
]


class Fact(BaseModel):
    """Base of everything signed: frozen; unknown fields are tolerated when reading, and kept in the raw bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Kind(StrEnum):
    """The kinds of event known to this version."""

    DEVICE_ENROLLED = "device.enrolled"
    DEVICE_KEY_ROTATED = "device.key_rotated"
    PUNCH_RECORDED = "punch.recorded"
    PUNCH_REFUSED = "punch.refused"
    PRESENCE_INTERVAL = "presence.interval"
    COVERAGE = "coverage"
    CLOCK_STEPPED = "clock.stepped"
    ENCLOSURE_OPENED = "enclosure.opened"
    ENCLOSURE_CLEARED = "enclosure.cleared"
    SENSOR_CHANGED = "sensor.changed"
    WORKER_ENROLLED = "worker.enrolled"
    WORKER_ERASED = "worker.erased"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    CONFIG_APPLIED = "config.applied"
    COMMAND_DONE = "command.done"
    CLIP_RELEASED = "clip.released"
    CLIP_ERASED = "clip.erased"
    TRANSFER_PEER = "transfer.peer"
    TRANSFER_SENT = "transfer.sent"
    TRANSFER_RECEIVED = "transfer.received"
    TRANSFER_REFUSED = "transfer.refused"
    CHECKPOINT_REFUSED = "checkpoint.refused"


class ClockReading(Fact):
    """Where the event's time came from, and how far to believe it."""

    source: Literal["gps", "ntp", "rtc", "none"]
    synced: Annotated[bool, Field(strict=True)]  # pydantic would take 1 and "yes" for true
    error_ms: Counter | None = None  # estimated error of the wall clock in milliseconds; None: unknown
    synced_at: UtcTime | None = None


class Event(Fact):
    """One signed statement of one terminal. Field names are those of docs/protocol.md."""

    v: Literal[1] = 1
    id: UuidV7
    device: Name
    chain: Hex128
    seq: Counter
    prev: HexDigest | None  # hash of event seq - 1; None exactly at seq 0
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)*$", max_length=48)]
    time: UtcTime
    tz: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,47}$")]  # the site's IANA zone
    clock: ClockReading
    boot: Hex128
    mono_us: Counter
    site: Name
    nonce: Hex128  # so that a hash confirms no guess of the content
    body: dict[
        str, Any
    ]  # JSON by construction: `canonical` refuses anything else on the way out, parsing on the way in

    def payload(self) -> bytes:
        """The canonical bytes to sign. Raises EncodingError (InvalidEvent among them) for what no reader would take."""
        if (self.prev is None) != (self.seq == 0):
            raise InvalidEvent("prev is null exactly at seq 0")
        try:
            return canonical(self.model_dump(mode="json"))
        except PydanticSerializationError as error:
            raise InvalidEvent(f"the body is no JSON: {error}") from error


class Outcome(StrEnum):
    """How one check ended. A check that could not run is `not_run`, never `passed`."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"


class Check(Fact):
    """One check: what was seen, what was wanted, how it ended and why. Scores are kept coarse."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
    outcome: Outcome
    observed: JsonValue = None
    expected: JsonValue = None
    reason: Text  # a stable code first, then a plain sentence: `too_far: the face is smaller than 60 px`
    model: Annotated[str, Field(max_length=80)] | None = None


class Method(StrEnum):
    """How the worker was identified."""

    FACE = "face"
    BADGE_PIN = "badge_pin"
    SUPERVISOR = "supervisor"


class LogType(StrEnum):
    """Direction, named as Frappe HRMS names it."""

    IN = "IN"
    OUT = "OUT"


class Verdict(StrEnum):
    """What the checks come to under the site's policy."""

    VERIFIED = "verified"
    REVIEW = "review"
    REFUSED = "refused"


class Ask(StrEnum):
    """What a worker can be asked to do in front of the camera."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    BLINK = "blink"
    MOVE_CLOSER = "move_closer"


class PromptRecord(Fact):
    """One prompt: what was asked, when after the tap it was shown, how long the answer took (milliseconds)."""

    ask: Ask
    shown_ms: Counter
    answered_ms: Counter | None  # after the prompt was shown; None: never


class ChallengeRecord(Fact):
    """What was asked of the worker in this attempt."""

    prompts: tuple[PromptRecord, ...]
    excused: tuple[Ask, ...] = ()  # what this worker is never asked, by an agreement made at enrolment


Role = Literal["worker", "supervisor"]  # a supervisor may confirm and enrol others, never himself


class PunchBody(Fact):
    """Body of punch.recorded and punch.refused."""

    worker: WorkerCode | None  # employee code; where nobody was identified the code that was typed; None: none was
    log_type: LogType | None
    method: Method
    verdict: Verdict
    checks: tuple[Check, ...]
    challenge: ChallengeRecord | None = None
    frames: tuple[HexDigest, ...] = ()  # salted SHA-256 commitments of kept frames
    policy: HexDigest  # hash of the policy in force
    receipt: Annotated[
        str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{8}$")
    ]  # short code shown to the worker (Crockford base 32)
    tapped_at: UtcTime  # the attempt's own time: the event's time is when it was signed
    confirmed_by: WorkerCode | None = None  # method supervisor: who, identified on the spot, stood for the worker


class DeviceEnrolledBody(Fact):
    """Body of device.enrolled, the first event of every chain."""

    key: str  # PublicKey.text()
    software: Text
    predecessor: dict[str, JsonValue] | None = None  # {chain, seq, head} last known of the chain before


class KeyRotatedBody(Fact):
    """Body of device.key_rotated: from the next event on `key` signs this chain, and `previous` no more."""

    previous: Annotated[str, Field(max_length=1000)]  # PublicKey.text() of the key that counted until here
    key: Annotated[str, Field(max_length=1000)]  # of the one that follows; both sign this event, in this order
    reason: Text

    @model_validator(mode="after")
    def _another_key(self) -> KeyRotatedBody:
        if self.key == self.previous:
            raise ValueError("a rotation brings another key")
        return self


class WorkerEnrolledBody(Fact):
    """Body of worker.enrolled: a template, or a PIN alone, now lies encrypted on this terminal."""

    worker: WorkerCode
    model: Text | None  # of the face template; None: badge and PIN without a face
    frames: Counter  # 0 without a face
    authorised_by: Text  # as the authorisation says, or `supervisor:CODE` for one who was identified on the spot
    authorisation: Hex128  # id of the one-time authorisation; a supervisor's enrolment has a random one
    template: HexDigest | None  # salted commitment; the template itself never leaves
    role: Role = "worker"
    excused: tuple[Ask, ...] = ()  # prompts that this worker is never asked


class WorkerErasedBody(Fact):
    """Body of worker.erased: what an enrolment left on this terminal is gone from it.

    No employee code: the enrolment's id leads to the worker only while worker.enrolled itself may be kept.
    """

    scope: Literal["face", "all"]  # face: the template went, badge and PIN stay
    # `authorisation` of worker.enrolled, or `copy_id` of transfer.received; None: of a gallery that did not keep it
    enrolment: Hex128 | None
    template: HexDigest | None  # `template` of worker.enrolled; None: there was no face, or as above
    # peer_removed: whoever stands here no longer exchanges faces with that terminal; expired: a copy was not renewed
    reason: Literal["consent_withdrawn", "erased", "replaced", "peer_removed", "expired"]


class ConsentBody(Fact):
    """Body of consent.given and consent.withdrawn."""

    worker: WorkerCode
    scope: Literal["face", "transfer", "clip"]
    text_version: Text
    language: Literal["zh", "en"]


class EnclosureOpenedBody(Fact):
    """Body of enclosure.opened: from here on no punch of this chain is verified, until enclosure.cleared names it."""

    # start: the loop was open when the terminal began to look; unknown: the journal before this chain has lost events,
    # and one of them may have been an opening
    found: Literal["running", "start", "unknown"]
    seen_at: UtcTime  # the event's own time is later where the journal had no room at first


class EnclosureClearedBody(Fact):
    """Body of enclosure.cleared: an administrator looked at the terminal and allowed it to verify again."""

    opening: Counter  # seq of the enclosure.opened that it answers
    authorised_by: Text
    authorisation: Hex128  # id of the one-time clearance
    clearance: Annotated[
        str, Field(max_length=4096)
    ]  # its whole envelope in base64: any reader can check who allowed it


class PresenceIntervalBody(Fact):
    """Body of presence.interval: what one terminal knows of a worker's badge between two moments of one boot.

    heard: from the first sighting to the last. silent: the terminal listened without a hole and did not hear it. deaf:
    the terminal heard nobody, which is no gap of the badge's. It proves where the badge is, not the person.
    """

    worker: WorkerCode
    state: Literal["heard", "silent", "deaf"]
    since: Annotated[UtcTime, Field(alias="from")]  # dump with by_alias
    to: UtcTime
    boot: Hex128  # the event's own, or an earlier one where the terminal had ended without a word
    from_mono_us: Counter  # the same moments by the clock that nobody sets
    to_mono_us: Counter
    samples: Counter  # sightings counted; 0 unless heard
    median_rssi: Annotated[int, Field(ge=-127, le=20, strict=True)] | None  # dBm; None unless heard
    ended_by: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=32)]  # kiosk.presence.Ending
    badge: Literal["rotating", "constant"]  # constant: any phone can copy it

    @model_validator(mode="after")
    def _one_story(self) -> PresenceIntervalBody:
        if self.since > self.to or self.from_mono_us > self.to_mono_us:
            raise ValueError("an interval does not end before it begins")
        heard = self.state == "heard"
        if heard != (self.samples > 0) or heard != (self.median_rssi is not None):
            raise ValueError("exactly what was heard has samples and a median")
        return self


class ConfigAppliedBody(Fact):
    """Body of config.applied: the policy that verdicts refer to, in full."""

    policy: dict[str, JsonValue]
    policy_hash: HexDigest


class SensorChangedBody(Fact):
    """Body of sensor.changed: a part of the terminal is in another state than before."""

    sensor: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=32)]  # camera, gps, beacons, scene, …
    state: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=32)]
    before: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=32)] | None = None
    reason: Text  # a stable code first, then a plain sentence


class CommandDoneBody(Fact):
    """Body of command.done: what a terminal made of a signed command, exactly once."""

    command: Hex128  # id of the command
    counter: Counter
    action: Annotated[str, Field(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)*$", max_length=48)]
    outcome: Literal["done", "failed", "refused"]  # failed: tried in vain; refused: not tried
    reason: Text  # a stable code first, then a plain sentence
    result: dict[str, JsonValue] = {}  # by action


class ClipReleasedBody(Fact):
    """Body of clip.released: an operator was given the clip of a spot check, in clear."""

    command: Hex128  # id of the spot check, whose command.done has the commitment too
    commitment: HexDigest
    by: Text
    reason: Text


class ClipErasedBody(Fact):
    """Body of clip.erased: an operator had the clip of a spot check removed before its time was over."""

    command: Hex128
    by: Text
    reason: Text


class TransferPeerBody(Fact):
    """Body of transfer.peer: from here on faces may go to and come from that terminal, or no longer."""

    device: Name
    key: Annotated[str, Field(max_length=1000)]  # PublicKey.text() of the other terminal's signing key
    state: Literal["confirmed", "followed", "removed"]  # followed: its key was rotated, signed by the one before
    by: Text  # who compared the fingerprint at this terminal; empty where the key was followed


class TransferSentBody(Fact):
    """Body of transfer.sent: a worker's template was sealed for another terminal, under the worker's own consent."""

    worker: WorkerCode
    copy_id: Hex128
    recipient: Name
    recipient_key: HexDigest
    enrolment: Hex128  # `authorisation` of worker.enrolled
    counter: Counter
    until: UtcTime


class TransferReceivedBody(Fact):
    """Body of transfer.received: another terminal's template of a worker now lies encrypted on this one."""

    worker: WorkerCode
    copy_id: Hex128  # worker.erased names it when the copy is gone
    sender: Name
    sender_key: HexDigest
    model: Text
    frames: Counter
    enrolment: Hex128  # `authorisation` of worker.enrolled on the sender
    enrolled: HexDigest | None  # hash of that event; None: the sender has let it go
    text_version: Text  # of the consent, scope transfer, that was given on the sender
    language: Literal["zh", "en"]
    consented: UtcTime
    message: HexDigest  # hash of the transfer's envelope
    until: UtcTime


class TransferRefusedBody(Fact):
    """Body of transfer.refused: what came for this terminal was not taken. It names no worker."""

    sender: Name | None  # as its envelope says; None: it could not be read
    copy_id: Hex128 | None
    message: HexDigest  # SHA-256 of the bytes that came
    reason: Text  # a stable code first, then a plain sentence


class CoverageBody(Fact):
    """Body of coverage: how long this terminal was there, and how much of it each part worked.

    Seconds are those of the monotonic clock, rounded down. None: the terminal has no such part. A part works while it
    does what it is for: a camera that delivers, a scanner that hears somebody, a receiver that stands still with
    enough fixes, an uplink that is answered.
    """

    since: UtcTime
    until: UtcTime
    seconds: Counter  # from since to until
    observed_s: Counter  # of which it looked after its parts and could record; the rest nobody vouches for
    first: Annotated[bool, Field(strict=True)]  # since is the start of the program; nothing is said of the time before
    last: Annotated[bool, Field(strict=True)]  # an orderly stop; a run without it ended otherwise
    screen: Annotated[bool, Field(strict=True)]  # False: nobody could punch (an enrolment from the command line)
    camera_s: Counter | None
    scanner_s: Counter | None
    gps_s: Counter | None
    uplink_s: Counter | None
    frames: Counter | None  # pictures taken
    advertisements: Counter | None  # Bluetooth advertisements heard, whoever sent them
    unsent: Counter  # events without a receipt at the end of the period
    # The newest checkpoint of the ledger that this terminal saw and found to continue the ones before (a signed note).
    checkpoint: Annotated[str, Field(max_length=MAX_CHECKPOINT_TEXT)] | None = None

    @model_validator(mode="after")
    def _no_more_than_there_was(self) -> CoverageBody:
        worked = [part for part in (self.camera_s, self.scanner_s, self.gps_s, self.uplink_s) if part is not None]
        if self.observed_s > self.seconds or any(part > self.observed_s for part in worked):
            raise ValueError("a part cannot have worked for longer than the terminal looked")
        return self


class CheckpointRefusedBody(Fact):
    """Body of checkpoint.refused: the ledger showed a checkpoint that does not continue the one held.

    Both are notes that the ledger signed.
    """

    held: Annotated[str, Field(max_length=MAX_CHECKPOINT_TEXT)]
    shown: Annotated[str, Field(max_length=MAX_CHECKPOINT_TEXT)]
    reason: Text


class ClockSteppedBody(Fact):
    """Body of clock.stepped: something set the wall clock. The event's own time is the one after."""

    from_: Annotated[UtcTime, Field(alias="from")]  # the last time that was seen before
    step_ms: Annotated[int, Field(strict=True, ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]


BODIES: dict[str, type[Fact]] = {
    Kind.DEVICE_ENROLLED: DeviceEnrolledBody,
    Kind.DEVICE_KEY_ROTATED: KeyRotatedBody,
    Kind.PUNCH_RECORDED: PunchBody,
    Kind.PUNCH_REFUSED: PunchBody,
    Kind.PRESENCE_INTERVAL: PresenceIntervalBody,
    Kind.WORKER_ENROLLED: WorkerEnrolledBody,
    Kind.WORKER_ERASED: WorkerErasedBody,
    Kind.CONSENT_GIVEN: ConsentBody,
    Kind.CONSENT_WITHDRAWN: ConsentBody,
    Kind.CONFIG_APPLIED: ConfigAppliedBody,
    Kind.SENSOR_CHANGED: SensorChangedBody,
    Kind.COMMAND_DONE: CommandDoneBody,
    Kind.CLIP_RELEASED: ClipReleasedBody,
    Kind.CLIP_ERASED: ClipErasedBody,
    Kind.TRANSFER_PEER: TransferPeerBody,
    Kind.TRANSFER_SENT: TransferSentBody,
    Kind.TRANSFER_RECEIVED: TransferReceivedBody,
    Kind.TRANSFER_REFUSED: TransferRefusedBody,
    Kind.CHECKPOINT_REFUSED: CheckpointRefusedBody,
    Kind.ENCLOSURE_OPENED: EnclosureOpenedBody,
    Kind.ENCLOSURE_CLEARED: EnclosureClearedBody,
    Kind.COVERAGE: CoverageBody,
    Kind.CLOCK_STEPPED: ClockSteppedBody,
}


def parse_event(payload: bytes) -> Event:
    """Read an event from verified payload bytes. Raises an EncodingError, InvalidEvent among them."""
    value = parse_canonical(payload)
    if not isinstance(value, dict) or type(value.get("v")) is not int:
        # The model's default is for writers, and it would take true for 1.
        raise InvalidEvent("the payload is not an event: v is missing or no integer")
    try:
        event = Event.model_validate(value)
    except ValidationError as error:
        raise InvalidEvent(f"the payload is not an event: {_first(error)}") from error
    if (event.prev is None) != (event.seq == 0):
        raise InvalidEvent("prev is null exactly at seq 0")
    return event


def parse_body(event: Event) -> Fact | None:
    """Read the body of a known kind; None for a kind this version does not know. Raises InvalidBody."""
    model = BODIES.get(event.kind)
    if model is None:
        return None
    try:
        body = model.model_validate(event.body)
    except ValidationError as error:
        raise InvalidBody(f"the body does not fit {event.kind}: {_first(error)}") from error
    if isinstance(body, PunchBody):
        if (body.verdict is Verdict.REFUSED) != (event.kind == Kind.PUNCH_REFUSED):
            raise InvalidBody("exactly a refused verdict makes punch.refused")
        if body.verdict is Verdict.VERIFIED and any(check.outcome is Outcome.FAILED for check in body.checks):
            raise InvalidBody("a punch with a failed check is not verified")
        _require_confirmation(body)
    return body


def _require_confirmation(body: PunchBody) -> None:
    if body.confirmed_by is not None and body.method is not Method.SUPERVISOR:
        raise InvalidBody("only a supervisor's confirmation names who confirmed")
    if body.confirmed_by is not None and body.confirmed_by == body.worker:
        raise InvalidBody("nobody confirms himself")
    if body.method is Method.SUPERVISOR and body.verdict is not Verdict.REFUSED and body.confirmed_by is None:
        raise InvalidBody("a confirmation names the supervisor who made it")


def _first(error: ValidationError) -> str:
    one: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in one["loc"]) or "payload"
    return f"{where}: {one['msg']}"

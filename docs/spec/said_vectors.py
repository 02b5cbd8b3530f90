"""Vectors of what the collector says to a terminal; for generate_vectors.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vector_keys import CHAIN, COLLECTOR, GATE, OLD, OTHER_CHAIN, TIME, TPM, ed25519_of

from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.canonical import canonical
from evidence.clearance import Clearance, sign_clearance
from evidence.command import Command, sign_command
from evidence.envelope import (
    AUTHORISATION_TYPE,
    CLEARANCE_TYPE,
    COMMAND_TYPE,
    EVENT_TYPE,
    GAP_REQUEST_TYPE,
    HANDOVER_TYPE,
    sign,
)
from evidence.gap import GapRequest, sign_gap_request
from evidence.handover import sign_handover
from evidence.keys import SigningKey

COMMANDER, NEXT, LAST = ed25519_of(10), ed25519_of(11), ed25519_of(12)
ID = "a1" * 16
LATER = "2026-03-01T09:00:00.000Z"


def _cases(good: list[tuple[str, dict[str, Any], bytes]], bad: list[tuple[str, bytes, str]]) -> dict[str, Any]:
    return {
        "good": [{"name": name, "says": says, "envelope": data.decode()} for name, says, data in good],
        "bad": [{"name": name, "envelope": data.decode(), "code": code} for name, data, code in bad],
    }


def _broken(payload_type: str, fields: dict[str, Any], key: SigningKey) -> Callable[..., bytes]:
    """Sign the fields with changes that the model would refuse; a change to ... leaves the field out."""

    def signed(**changes: Any) -> bytes:
        left = {name: value for name, value in (fields | changes).items() if value is not ...}
        return sign(payload_type, canonical(left), key).encode()

    return signed


def gap_request_vectors() -> dict[str, Any]:
    """The collector's questions for missing events of gate-1."""
    said = GapRequest(device="gate-1", chain=CHAIN, first=3, last=5, time=TIME)
    fields = said.model_dump(mode="json")
    wrong = _broken(GAP_REQUEST_TYPE, fields, COLLECTOR)
    good = [
        ("three events", fields, sign_gap_request(said, COLLECTOR)),
        ("one event", fields | {"last": 3}, wrong(last=3)),
        ("a field of a later version", fields | {"hurry": True}, wrong(hurry=True)),
    ]
    bad = [
        ("another terminal", wrong(device="gate-2"), "gap_request_mismatch"),
        ("ends before it begins", wrong(last=2), "gap_request"),
        ("no chain", wrong(chain=...), "gap_request"),
        ("a negative first", wrong(first=-1), "gap_request"),
        ("another signer", sign_gap_request(said, GATE), "unknown_key"),
        ("a command", sign(COMMAND_TYPE, canonical(fields), COLLECTOR).encode(), "wrong_payload_type"),
    ]
    return {"key": COLLECTOR.public.text(), "device": "gate-1", **_cases(good, bad)}


def command_vectors() -> dict[str, Any]:
    """Commands to gate-1 at the site harbour, which took command 4 last, at `now`."""
    said = Command(
        id=ID,
        device="gate-1",
        site="harbour",
        counter=5,
        action="spot_check",
        body={"worker": "E1001", "minutes": 5},
        issued_by="Ren",
        issued=TIME,
        expires=LATER,
    )
    fields = said.model_dump(mode="json")
    wrong = _broken(COMMAND_TYPE, fields, COMMANDER)
    good = [
        ("the next", fields, sign_command(said, COMMANDER)),
        ("numbers between were lost", fields | {"counter": 9}, wrong(counter=9)),
        ("an unknown action is taken, and refused in the answer", fields | {"action": "dance"}, wrong(action="dance")),
        ("a field of a later version", fields | {"tone": "kind"}, wrong(tone="kind")),
    ]
    bad = [
        ("the number of the last one", wrong(counter=4), "command_replayed"),
        ("an older number", wrong(counter=3), "command_replayed"),
        ("number 0", wrong(counter=0), "command"),
        ("a number as text", wrong(counter="5"), "command"),
        ("its time is over", wrong(expires="2026-03-01T08:29:59.999Z"), "command_expired"),
        ("it ends now", wrong(expires="2026-03-01T08:30:00.000Z"), "command_expired"),
        ("old and late: the number is looked at first", wrong(counter=4, expires=TIME), "command_replayed"),
        ("another terminal", wrong(device="gate-2"), "command_mismatch"),
        ("another site", wrong(site="quarry"), "command_mismatch"),
        ("no end", wrong(expires=...), "command"),
        ("an end that is no date", wrong(expires="2026-02-30T08:00:00.000Z"), "command"),
        ("a body that is a list", wrong(body=[]), "command"),
        ("an action with a capital", wrong(action="Dance"), "command"),
        ("signed by the receipt key", sign_command(said, COLLECTOR), "unknown_key"),
        ("a receipt's type", sign(EVENT_TYPE, canonical(fields), COMMANDER).encode(), "wrong_payload_type"),
    ]
    now = "2026-03-01T08:30:00.000Z"
    return {
        "key": COMMANDER.public.text(),
        "device": "gate-1",
        "site": "harbour",
        "last_counter": 4,
        "now": now,
        **_cases(good, bad),
    }


def authorisation_vectors() -> dict[str, Any]:
    """Permissions to enrol a worker at gate-1, at `now`."""
    said = EnrolmentAuthorisation(
        id=ID, worker="E1001", name="陈一", device="gate-1", site="harbour", authorised_by="Ren", expires=LATER
    )
    fields = said.model_dump(mode="json")
    wrong = _broken(AUTHORISATION_TYPE, fields, COMMANDER)
    bad = [
        ("another terminal", wrong(device="gate-2"), "authorisation_mismatch"),
        ("another site", wrong(site="quarry"), "authorisation_mismatch"),
        ("it ends now", wrong(expires="2026-03-01T08:30:00.000Z"), "authorisation_expired"),
        ("no worker", wrong(worker=...), "authorisation"),
        ("a worker with a slash", wrong(worker="E/1"), "authorisation"),
        ("a worker that ends with a space", wrong(worker="E1 "), "authorisation"),
        ("an unknown role", wrong(role="owner"), "authorisation"),
        ("another signer", sign_authorisation(said, COLLECTOR), "unknown_key"),
        ("a clearance", sign(CLEARANCE_TYPE, canonical(fields), COMMANDER).encode(), "wrong_payload_type"),
    ]
    good = [
        ("a worker", fields, sign_authorisation(said, COMMANDER)),
        ("a supervisor", fields | {"role": "supervisor"}, wrong(role="supervisor")),
        ("no role: a worker", {**fields, "role": "worker"}, wrong(role=...)),
    ]
    now = "2026-03-01T08:30:00.000Z"
    return {"key": COMMANDER.public.text(), "device": "gate-1", "site": "harbour", "now": now, **_cases(good, bad)}


def clearance_vectors() -> dict[str, Any]:
    """Clearances of an opening in gate-1's chain, at `now`."""
    said = Clearance(id=ID, device="gate-1", site="harbour", chain=CHAIN, opening=5, authorised_by="Ren", expires=LATER)
    fields = said.model_dump(mode="json")
    wrong = _broken(CLEARANCE_TYPE, fields, COMMANDER)
    bad = [
        ("another terminal", wrong(device="gate-2"), "authorisation_mismatch"),
        ("another chain", wrong(chain=OTHER_CHAIN), "authorisation_mismatch"),
        ("it ends now", wrong(expires="2026-03-01T08:30:00.000Z"), "authorisation_expired"),
        ("no opening", wrong(opening=...), "authorisation"),
        ("another signer", sign_clearance(said, COLLECTOR), "unknown_key"),
        ("an authorisation", sign(AUTHORISATION_TYPE, canonical(fields), COMMANDER).encode(), "wrong_payload_type"),
    ]
    good = [("holds", fields, sign_clearance(said, COMMANDER))]
    where = {"device": "gate-1", "site": "harbour", "chain": CHAIN}
    return {"key": COMMANDER.public.text(), **where, "now": "2026-03-01T08:30:00.000Z", **_cases(good, bad)}


def handover_vectors() -> dict[str, Any]:
    """Handovers as a terminal finds them retained: which keys count, in the order of the pins."""
    pinned = [COLLECTOR, COMMANDER]
    first = sign_handover("receipt", COLLECTOR, NEXT, TIME)
    second = sign_handover("receipt", NEXT, LAST, LATER)
    back = sign_handover("receipt", NEXT, COLLECTOR, LATER)
    fields = {"purpose": "receipt", "old": COLLECTOR.public.text(), "new": NEXT.public.text(), "time": TIME}
    alone = sign(HANDOVER_TYPE, canonical(fields), COLLECTOR).encode()
    swapped = sign(HANDOVER_TYPE, canonical(fields), NEXT, COLLECTOR).encode()
    itself = sign(HANDOVER_TYPE, canonical(fields | {"new": fields["old"]}), COLLECTOR).encode()
    stranger = sign_handover("receipt", OLD, TPM, TIME)
    unread = sign(HANDOVER_TYPE, canonical(fields | {"purpose": "lunch"}), COLLECTOR, NEXT).encode()
    typed = sign(EVENT_TYPE, canonical(fields), COLLECTOR, NEXT).encode()
    good: list[tuple[str, list[bytes], list[SigningKey]]] = [
        ("one", [first], [NEXT, COMMANDER]),
        ("two, one after the other", [first, second], [LAST, COMMANDER]),
        ("in the wrong order the later one finds no key", [second, first], [NEXT, COMMANDER]),
        ("one that begins at a key that does not count is passed over", [stranger, first], [NEXT, COMMANDER]),
        ("the same again changes nothing", [first, first], [NEXT, COMMANDER]),
    ]
    bad = [
        ("signed by the old key alone", [alone], "signature_count"),
        ("signed in the other order", [swapped], "unknown_key"),
        ("to itself", [itself], "invalid_key"),
        ("a key comes back", [first, back], "unknown_key"),
        ("an unknown purpose", [unread], "receipt"),
        ("another type", [typed], "wrong_payload_type"),
    ]
    return {
        "pinned": [one.public.text() for one in pinned],
        "good": [
            {"name": name, "message": b"\n".join(lines).decode(), "keys": [key.public.text() for key in keys]}
            for name, lines, keys in good
        ],
        "bad": [{"name": name, "message": b"\n".join(lines).decode(), "code": code} for name, lines, code in bad],
    }

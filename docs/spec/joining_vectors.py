"""Vectors of joining a collector: the code, what a terminal asks, what it believes; for generate_vectors.py."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from vector_keys import COLLECTOR, GATE, OLD, TIME, ed25519_of

from evidence.canonical import canonical
from evidence.envelope import INQUIRY_TYPE, JOIN_ANSWER_TYPE, JOIN_TYPE, RENEWAL_TYPE, sign
from evidence.provisioning import Answer, ClaimCode, Inquiry, Join, Membership, Renewal, sign_answer, sign_fact

COMMANDER = ed25519_of(10)
NONCE, JOIN_ID, SECRET = "f0" * 16, "a1" * 16, "5e" * 16
CSR = base64.b64encode(b"a PKCS #10 request in DER").decode()


def joining_vectors() -> dict[str, Any]:
    """Codes, requests and answers for gate-1 at the site harbour, whose key is that of seed 01."""
    return {
        "device": "gate-1",
        "site": "harbour",
        "private": "01 × 32",
        "key": GATE.public.text(),
        "command": COMMANDER.public.text(),
        "nonce": NONCE,
        "codes": _codes(),
        "requests": _requests(),
        "good": [{"name": name, "says": says, "envelope": data.decode()} for name, says, data in _good_answers()],
        "bad": [{"name": name, "envelope": data.decode(), "code": code} for name, data, code in _bad_answers()],
    }


def _codes() -> dict[str, Any]:
    said = ClaimCode(
        url="https://collector.example:8443",
        pin="ab" * 32,
        receipt=COLLECTOR.public.text(),
        command=COMMANDER.public.text(),
        site="harbour",
        device="gate-1",
        secret=SECRET,
    )
    text = said.text()
    fields = said.model_dump(mode="json")
    plain = said.model_copy(update={"url": "https://collector.example"})
    return {
        "good": [
            {"name": "with a port", "text": text, "says": fields},
            {"name": "without a port", "text": plain.text(), "says": plain.model_dump(mode="json")},
            {"name": "copied with spaces and line breaks", "text": f" {text[:40]}\n  {text[40:]}\n", "says": fields},
        ],
        "bad": [
            {"name": name, "text": bad, "code": "join"}
            for name, bad in [
                ("a letter changed", text.replace("gate-1", "gate-2")),
                ("cut off", text[:-1]),
                ("a part missing", _checked(text.replace("/gate-1", ""))),
                ("another version", _checked(text.replace("-v1/", "-v2/"))),
                ("a name that is none", _checked(text.replace("gate-1", "Gate-1"))),
                ("a short pin", _checked(text.replace("q6urq6", ""))),
                ("nothing", ""),
            ]
        ],
    }


def _checked(text: str) -> str:
    """Write the check anew, so that it is not what is wrong."""
    said = text.rpartition("/")[0]
    check = base64.urlsafe_b64encode(hashlib.sha256(said.encode()).digest()[:3]).decode()
    return f"{said}/{check}"


def _requests() -> list[dict[str, Any]]:
    join = Join(
        secret=SECRET,
        site="harbour",
        device="gate-1",
        key=GATE.public.text(),
        csr=CSR,
        nonce=NONCE,
        software="example",
    )
    facts = [
        ("join", JOIN_TYPE, join),
        ("inquire", INQUIRY_TYPE, Inquiry(join=JOIN_ID, device="gate-1", nonce=NONCE)),
        ("renew", RENEWAL_TYPE, Renewal(device="gate-1", site="harbour", csr=CSR, nonce=NONCE)),
    ]
    return [
        {
            "name": name,
            "payloadType": payload_type,
            "says": fact.model_dump(mode="json"),
            "envelope": sign_fact(payload_type, fact, GATE).decode(),
        }
        for name, payload_type, fact in facts
    ]


def _waiting() -> Answer:
    return Answer(
        state="waiting",
        join=JOIN_ID,
        device="gate-1",
        site="harbour",
        key_id=GATE.public.id,
        nonce=NONCE,
        time=TIME,
    )


def _membership() -> Membership:
    return Membership(
        certificate="-----BEGIN CERTIFICATE-----\n…\n",
        authority="-----BEGIN CERTIFICATE-----\n…\n",
        brokers=("mqtts://broker.example:8883",),
        tz="Asia/Shanghai",
        site_title="港口",
    )


def _good_answers() -> list[tuple[str, dict[str, Any], bytes]]:
    answers = [
        ("waiting", _waiting()),
        ("approved", _waiting().model_copy(update={"state": "approved", "membership": _membership()})),
        ("denied", _waiting().model_copy(update={"state": "denied"})),
        ("a renewal names no join", _waiting().model_copy(update={"state": "approved", "join": None})),
    ]
    return [(name, one.model_dump(mode="json"), sign_answer(one, COMMANDER)) for name, one in answers]


def _bad_answers() -> list[tuple[str, bytes, str]]:
    said = _waiting()
    fields = said.model_dump(mode="json")

    def wrong(**changes: Any) -> bytes:
        return sign(JOIN_ANSWER_TYPE, canonical(fields | changes), COMMANDER).encode()

    return [
        ("to another question", wrong(nonce="f1" * 16), "join_mismatch"),
        ("for another terminal", wrong(device="gate-2"), "join_mismatch"),
        ("for another site", wrong(site="quarry"), "join_mismatch"),
        ("for another key", wrong(key_id=OLD.public.id), "join_mismatch"),
        ("an unknown state", wrong(state="perhaps"), "join"),
        ("no broker", wrong(membership=_membership().model_dump(mode="json") | {"brokers": []}), "join"),
        ("signed by the receipt key", sign_answer(said, COLLECTOR), "unknown_key"),
        ("a join's type", sign(JOIN_TYPE, canonical(fields), COMMANDER).encode(), "wrong_payload_type"),
    ]

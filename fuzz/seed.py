"""Write the seeds that fuzzing starts from: good inputs for every target, made by our own signers or of the corpus."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from evidence.add_checkpoint import write_add_checkpoint
from evidence.bundle_checkpoints import CONSISTENCY
from evidence.bundle_manifest import SEAL
from evidence.bundle_seen import SEEN
from evidence.bundle_zip import unpack
from evidence.canonical import canonical
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import (
    AUTHORISATION_TYPE,
    CLEARANCE_TYPE,
    EVENT_TYPE,
    HANDOVER_TYPE,
    INQUIRY_TYPE,
    JOIN_ANSWER_TYPE,
    JOIN_TYPE,
    RENEWAL_TYPE,
    TRANSFER_ANSWER_TYPE,
    TRANSFER_KEY_TYPE,
    TRANSFER_TYPE,
    sign,
)
from evidence.handover import sign_handover
from evidence.merkle import consistency_proof, inclusion_proof, root_of
from evidence.note import SignatureType, signing_key_text
from evidence.provisioning import ClaimCode
from evidence.receipt import PunchReceipt, Receipt, sign_receipt
from evidence.tlog_proof import TlogProof
from fuzz.bundle_targets import WHOLE, part
from fuzz.key import KEY, OTHER
from fuzz.targets import SIGNED
from fuzz.tree_targets import LEAVES, LOG, ORIGIN, WITNESS

CASES = Path(__file__).parent / "cases"
TIME = "2026-05-04T08:00:00.000Z"
LATER = "2026-05-04T09:00:00.000Z"


def seeds() -> dict[str, tuple[bytes, ...]]:
    """Return the good inputs of every target."""
    return {**_messages(), **_texts(), **_bundle()}


def _messages() -> dict[str, tuple[bytes, ...]]:
    fields = {"device": "gate-1", "chain": "0" * 32, "upto": 3, "head": "0" * 64, "tree_size": 4, "time": TIME}
    gap = {"device": "gate-1", "chain": "0" * 32, "first": 1, "last": 2, "time": TIME}
    command = {
        "id": "0" * 32,
        "device": "gate-1",
        "site": "east",
        "counter": 1,
        "action": "spot_check",
        "body": {"worker": "E001", "minutes": 5},
        "issued_by": "HR",
        "issued": TIME,
        "expires": TIME,
    }
    event = {
        "v": 1,
        "id": "01a20f4c-0000-7000-8000-000000000000",
        "device": "gate-1",
        "chain": "0" * 32,
        "seq": 0,
        "prev": None,
        "kind": "device.enrolled",
        "time": TIME,
        "tz": "Asia/Shanghai",
        "boot": "0" * 32,
        "mono_us": 5,
        "clock": {"source": "ntp", "synced": True, "error_ms": 5, "synced_at": TIME},
        "site": "east",
        "nonce": "0" * 32,
        "body": {"key": KEY.public.text(), "software": "x", "predecessor": None},
    }
    place = {"device": "gate-1", "site": "east"}
    allowed: dict[str, object] = {**place, "id": "0" * 32, "authorised_by": "HR", "expires": LATER}
    asked: dict[str, object] = {**place, "nonce": "0" * 32, "csr": "MA=="}
    passed_on: dict[str, object] = {
        "site": "east",
        "sender": "gate-1",
        "recipient": "gate-2",
        "copy_id": "0" * 32,
        "issued": TIME,
    }
    facts: dict[str, dict[str, object]] = {
        AUTHORISATION_TYPE: {**allowed, "worker": "E001", "name": "王小明", "role": "worker"},
        CLEARANCE_TYPE: {**allowed, "chain": "0" * 32, "opening": 3},
        HANDOVER_TYPE: {
            "purpose": "receipt",
            "old": KEY.public.text(),
            "new": OTHER.public.text(),
            "time": TIME,
            "tree_size": 3,
        },
        JOIN_TYPE: {**asked, "secret": "0" * 32, "key": KEY.public.text(), "software": "x"},
        INQUIRY_TYPE: {"join": "0" * 32, "device": "gate-1", "nonce": "0" * 32},
        RENEWAL_TYPE: asked,
        JOIN_ANSWER_TYPE: {
            **place,
            "state": "waiting",
            "join": "0" * 32,
            "key_id": "0" * 64,
            "nonce": "0" * 32,
            "time": TIME,
            "membership": None,
        },
        TRANSFER_KEY_TYPE: {
            **place,
            "key": KEY.public.text(),
            "transfer_key": base64.b64encode(b"\x09" * 32).decode(),
            "issued": TIME,
            "rotations": [],
        },
        TRANSFER_TYPE: {
            **passed_on,
            "sender_key": KEY.public.id,
            "recipient_key": OTHER.public.id,
            "transfer_key": None,
            "kind": "erase",
            "enrolment": "0" * 32,
            "counter": 1,
            "expires": LATER,
            "reason": "consent_withdrawn",
            "sealed": None,
        },
        TRANSFER_ANSWER_TYPE: {
            **passed_on,
            "recipient_key": KEY.public.id,
            "message": "0" * 64,
            "state": "gone",
            "reason": "erased: as asked",
            "last": 1,
        },
    }
    code = ClaimCode(
        url="https://collector.example:8443",
        pin="0" * 64,
        receipt=KEY.public.text(),
        command=OTHER.public.text(),
        site="east",
        device="gate-1",
        secret="0" * 32,
    )
    handover = sign_handover("receipt", KEY, OTHER, TIME, 3)
    lines = sign(EVENT_TYPE, canonical(event), KEY).encode()
    first: dict[str, object] = {**place, "nonce": "0" * 32, "events": 1, "digest": hashlib.sha256(lines).hexdigest()}
    rotations = [base64.b64encode(handover).decode()]  # it is none
    asking = {**first, "events": 0, "digest": hashlib.sha256(b"").hexdigest(), "rotations": rotations}
    return {
        "envelope": (sign(EVENT_TYPE, canonical(event), KEY).encode(),),
        "event": (canonical(event),),
        "receipt": (sign_receipt(Receipt.model_validate(fields), KEY),),
        "signed_receipt": (canonical(fields),),
        "gap_request": (canonical(gap),),
        "command": (canonical(command),),
        "punch_receipt": (PunchReceipt("gate-1", "0" * 32, 3, "0" * 64, TIME).text(KEY).encode(),),
        "topic": (b"zaigang/v1/east/gate-1/event",),
        "signed_fact": tuple(bytes([number]) + canonical(facts[kind]) for number, (kind, _) in enumerate(SIGNED)),
        "delivery": (canonical(first) + b"\n" + lines, canonical(asking) + b"\n"),
        "claim_code": (code.text().encode(),),
        "handovers": (handover, handover + b"\n" + sign_handover("command", KEY, OTHER, TIME)),
    }


def _texts() -> dict[str, tuple[bytes, ...]]:
    state = Checkpoint(ORIGIN, len(LEAVES), root_of(LEAVES))
    signed = sign_checkpoint(state, LOG)
    proof = inclusion_proof(0, len(LEAVES), LEAVES)
    grown = consistency_proof(7, len(LEAVES), LEAVES)
    return {
        "note": (signed.adding(WITNESS.cosign(signed.text, 1_767_225_600)).encode(),),
        "signed_checkpoint": (state.text().encode(),),
        "checkpoint": (state.text().encode(), Checkpoint(ORIGIN, 0, root_of([]), ("more",)).text().encode()),
        "add_checkpoint": (write_add_checkpoint(7, grown, signed.encode()),),
        "tlog_proof": (
            TlogProof(0, proof, signed.encode()).encode(),
            TlogProof(0, proof, signed.encode(), b"extra").encode(),
        ),
        "inclusion": (bytes([len(LEAVES), 0]) + b"".join(proof), bytes([1, 0])),
        "consistency": (
            bytes([len(LEAVES), 7]) + b"".join(grown),
            bytes([40, 32]) + b"".join(consistency_proof(32, 40, LEAVES)),
            bytes([5, 5]),
        ),
        "key_text": (
            signing_key_text(ORIGIN, SignatureType.ED25519, KEY).encode(),
            LOG.public.text().encode(),
            KEY.public.text().encode(),
        ),
        "tile_name": (b"0/x001/234", b"entries/000.p/7", b"63/x018/x446/x744/x073/x709/x551/615"),
    }


def _bundle() -> dict[str, tuple[bytes, ...]]:
    files = unpack(WHOLE)
    return {
        "bundle": (WHOLE,),
        "bundle_part": tuple(part(name) for name in files if name != SEAL),
        "index": tuple(data for name, data in files.items() if name.endswith(".index")),
        "seen": (files[SEEN],),
        "growth": (files[CONSISTENCY],),
    }


def main() -> None:
    """Write them."""
    for target, inputs in seeds().items():
        folder = CASES / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main()

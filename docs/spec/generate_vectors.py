"""Write docs/spec/vectors/*.json: `python docs/spec/generate_vectors.py [FOLDER]`, from the root of the source tree.

Keys come from fixed seeds and ES256 signs after RFC 6979, so the same files come out each time. What a case should
come to is written here by hand; tests/evidence/test_vectors.py holds `evidence` against it.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from event_vectors import PUNCH, event_vectors
from joining_vectors import joining_vectors
from said_vectors import (
    authorisation_vectors,
    clearance_vectors,
    command_vectors,
    gap_request_vectors,
    handover_vectors,
)
from vector_keys import BOOT, CHAIN, COLLECTOR, GATE, OLD, OTHER_CHAIN, TIME, TPM, ed25519_of

from evidence.canonical import MAX_DEPTH, canonical
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import EVENT_TYPE, PUNCH_RECEIPT_TYPE, RECEIPT_TYPE, Envelope, Signature, sign
from evidence.events import ClockReading, Event
from evidence.keys import SigningKey
from evidence.merkle import consistency_proof, inclusion_proof, leaf_hash, node_hash, root_of
from evidence.note import NoteSignature, NoteSigner, SignatureType
from evidence.receipt import PunchReceipt, Receipt, sign_receipt
from evidence.tlog_proof import TlogProof


def canonical_vectors() -> dict[str, Any]:
    """Values with their one form, and bytes that have none."""
    values: dict[str, Any] = {
        "literals": [None, True, False],
        "keys in order": {"b": 1, "a": 2, "": 3, "A": 4},
        "keys by UTF-16 units, not code points": {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4},
        "escapes": '\x00\x07\b\t\n\x0b\f\r\x1f"\\/\x7f\u2028',
        "text stays as it is": "在岗 é \U0001f600",
        "not normalised": ["\u00e9", "e\u0301"],
        "noncharacters are characters": {"\uffff": "\ufdd0", "\U0010ffff": "\uffff", "\ufb33": "\U0001fffe"},
        "largest integers": [2**53 - 1, -(2**53 - 1), 0],
        "empty": {"list": [], "object": {}, "text": ""},
        "deepest": _nested(MAX_DEPTH),
    }
    good = [{"name": name, "value": value, "canonical": canonical(value).decode()} for name, value in values.items()]
    bad = [
        ("no bytes", b"", "not_json"),
        ("no UTF-8", b'"\xff"', "not_json"),
        ("a byte order mark", b"\xef\xbb\xbf{}", "not_json"),
        ("cut off", b'{"a":1', "not_json"),
        ("NaN", b"[NaN]", "not_json"),
        ("a trailing comma", b"[1,]", "not_json"),
        ("two values", b"1 2", "not_json"),
        ("a key twice", b'{"a":1,"a":1}', "duplicate_key"),
        ("a key twice, once escaped", rb'{"a":1,"\u0061":1}', "duplicate_key"),
        ("a key twice, and cut off later", b'[{"a":1,"a":1}', "not_json"),
        ("a key twice, and NaN later", b'[{"a":1,"a":1},NaN]', "not_json"),
        ("an encoded surrogate", b'"\xed\xa0\x80"', "not_json"),
        ("beyond Unicode", b'"\xf4\x90\x80\x80"', "not_json"),
        ("an overlong form", b'"\xc0\xaf"', "not_json"),
        ("a tab within a text", b'"\t"', "not_json"),
        ("a leading nought", b"[01]", "not_json"),
        ("a key twice, deep inside", b'[{"x":[{"a":1,"a":2}]}]', "duplicate_key"),
        ("white space", b'{"a": 1}', "not_canonical"),
        ("a line feed at the end", b"{}\n", "not_canonical"),
        ("keys out of order", b'{"b":1,"a":2}', "not_canonical"),
        ("keys by code points", '{"\ufb33":1,"\U0001f600":2}'.encode(), "not_canonical"),
        ("a needless escape", rb'"\u0061"', "not_canonical"),
        ("an escaped solidus", rb'"\/"', "not_canonical"),
        ("an upper-case escape", rb'"\u001F"', "not_canonical"),
        ("a lone surrogate", rb'"\ud800"', "not_canonical"),
        ("a fraction", b"[1.5]", "not_canonical"),
        ("a float that is an integer", b"[1.0]", "not_canonical"),
        ("an exponent", b"[1e2]", "not_canonical"),
        ("minus nought", b"[-0]", "not_canonical"),
        ("2^53", b"[9007199254740992]", "not_canonical"),
        ("minus 2^53", b"[-9007199254740992]", "not_canonical"),
        ("too deep", canonical(_nested(MAX_DEPTH)).join([b"[", b"]"]), "not_canonical"),
    ]
    return {"good": good, "bad": [{"name": name, "hex": data.hex(), "code": code} for name, data, code in bad]}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def key_vectors() -> dict[str, Any]:
    """Public keys as text with their ids, and texts that are no key."""
    good: list[dict[str, str]] = []
    keys: list[tuple[str, SigningKey]] = [("01 × 32", GATE), ("02 × 32", OLD), ("09 × 32", COLLECTOR), ("d = 1", TPM)]
    for private, key in keys:
        public = key.public
        good.append({"private": private, "text": public.text(), "id": public.id, "fingerprint": public.fingerprint})
    spki = GATE.public.spki
    bad = [
        ("no algorithm", base64.b64encode(spki).decode()),
        ("an unknown algorithm", f"rsa:{base64.b64encode(spki).decode()}"),
        ("the other algorithm", f"es256:{base64.b64encode(spki).decode()}"),
        ("no base64", "ed25519:!!!!"),
        ("cut short", f"ed25519:{base64.b64encode(spki[:-1]).decode()}"),
        ("one byte more", f"ed25519:{base64.b64encode(spki + bytes(1)).decode()}"),
        ("unused bits set", _with_unused_bit(TPM.public.text())),
        ("of order 1: y = 1", _ed25519_text(1)),
        ("of order 2: y = p - 1", _ed25519_text(2**255 - 20)),
        ("of order 4: y = 0", _ed25519_text(0)),
        ("y = p, a second form of 0", _ed25519_text(2**255 - 19)),
        ("y = p + 3, no canonical form", _ed25519_text(2**255 - 16)),
    ]
    return {"good": good, "bad": [{"name": name, "text": text, "code": "invalid_key"} for name, text in bad]}


def _with_unused_bit(text: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:-3] + letters[letters.index(text[-3]) + 1] + "=="


def _ed25519_text(y: int) -> str:
    spki = bytes.fromhex("302a300506032b6570032100") + y.to_bytes(32, "little")
    return f"ed25519:{base64.b64encode(spki).decode()}"


def envelope_vectors() -> dict[str, Any]:
    """Envelopes with their payload and hash, and envelopes that must be refused."""
    payload = _event(0, None, GATE).payload()
    good: list[dict[str, Any]] = []
    cases: list[tuple[str, tuple[SigningKey, ...], bytes]] = [
        ("Ed25519", (GATE,), payload),
        ("ES256", (TPM,), payload),
        ("two signatures", (GATE, TPM), payload),
        ("an empty payload", (GATE,), b""),
        ("any bytes", (GATE,), bytes(range(256))),
    ]
    for name, keys, content in cases:
        envelope = sign(EVENT_TYPE, content, *keys)
        good.append(
            {
                "name": name,
                "keys": [key.public.text() for key in keys],
                "payloadType": EVENT_TYPE,
                "payload_hex": content.hex(),
                "hash": envelope.hash,
                "envelope": envelope.encode().decode(),
            }
        )
    plain = sign(EVENT_TYPE, payload, GATE)
    text, signature = plain.encode(), plain.signatures[0]
    s = int.from_bytes(signature.sig[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    twin = signature.sig[:32] + s.to_bytes(32, "little")
    high = Signature(TPM.public.id, TPM.sign_high(sign(EVENT_TYPE, payload, TPM).signed_bytes))
    # One line a case: name, bytes, the keys that must have signed, the code of the error.
    bad: list[tuple[str, bytes, list[SigningKey], str]] = [
        ("another payload", Envelope(EVENT_TYPE, b"{}", plain.signatures).encode(), [GATE], "bad_signature"),
        ("S + L", Envelope(EVENT_TYPE, payload, (Signature(GATE.public.id, twin),)).encode(), [GATE], "bad_signature"),
        ("high-S", Envelope(EVENT_TYPE, payload, (high,)).encode(), [TPM], "bad_signature"),
        ("63 bytes", Envelope(EVENT_TYPE, payload, (_cut(signature),)).encode(), [GATE], "bad_signature"),
        ("another key", text, [OLD], "unknown_key"),
        ("another key's id", text.replace(GATE.public.id.encode(), OLD.public.id.encode()), [GATE], "unknown_key"),
        ("another payload type", sign(RECEIPT_TYPE, payload, GATE).encode(), [GATE], "wrong_payload_type"),
        ("one signature of two", text, [GATE, TPM], "signature_count"),
        ("one signature too many", sign(EVENT_TYPE, payload, GATE, TPM).encode(), [GATE], "signature_count"),
        ("signatures swapped", sign(EVENT_TYPE, payload, TPM, GATE).encode(), [GATE, TPM], "unknown_key"),
        ("white space", text.replace(b'":"', b'": "', 1), [GATE], "not_canonical"),
        ("a line feed at the end", text + b"\n", [GATE], "not_canonical"),
        ("an escape", text.replace(b"vnd.", rb"\u0076nd.", 1), [GATE], "not_canonical"),
        ("a key twice", text.replace(b'{"payload":', b'{"payload":"","payload":', 1), [GATE], "duplicate_key"),
        ("a field more", text[:-1] + b',"x":1}', [GATE], "invalid_envelope"),
        ("no signature", Envelope(EVENT_TYPE, payload, ()).encode(), [GATE], "invalid_envelope"),
        (
            "upper-case key id",
            text.replace(GATE.public.id.encode(), GATE.public.id.upper().encode()),
            [GATE],
            "invalid_envelope",
        ),
        ("base64 without padding", text.replace(b'=="}', b'"}', 1), [GATE], "invalid_envelope"),
        ("a list", b"[]", [GATE], "invalid_envelope"),
        ("cut off", text[:-1], [GATE], "not_json"),
        ("65,537 bytes", b" " * 65_537, [GATE], "too_large"),
    ]
    return {
        "good": good,
        "bad": [
            {
                "name": name,
                "keys": [key.public.text() for key in keys],
                "payloadType": EVENT_TYPE,
                "envelope": data.decode(),
                "code": code,
            }
            for name, data, keys, code in bad
        ],
    }


def _cut(signature: Signature) -> Signature:
    return Signature(signature.keyid, signature.sig[:-1])


def _event(seq: int, prev: str | None, key: SigningKey, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": f"018f0000-0000-7000-8000-{seq:012x}",
        "device": "gate-1",
        "chain": CHAIN,
        "seq": seq,
        "prev": prev,
        "kind": "coverage" if seq else "device.enrolled",
        "time": f"2026-03-01T08:00:{seq:02d}.000Z",
        "tz": "Asia/Shanghai",
        "clock": ClockReading(source="gps", synced=True, error_ms=20),
        "boot": BOOT,
        "mono_us": 1_000_000 + seq,
        "site": "harbour",
        "nonce": f"{seq:032x}",
        "body": {} if seq else {"key": key.public.text(), "software": "zaigang"},
    }
    return Event(**{**fields, **changes})


def _signed(seq: int, prev: str | None, key: SigningKey, **changes: Any) -> Envelope:
    return sign(EVENT_TYPE, _event(seq, prev, key, **changes).payload(), key)


def _chain(length: int, key: SigningKey, **changes: Any) -> list[Envelope]:
    chain: list[Envelope] = []
    for seq in range(length):
        chain.append(_signed(seq, chain[-1].hash if chain else None, key, **changes))
    return chain


def chain_vectors() -> dict[str, Any]:
    """Whole chains with the problems that a verifier must name: position (from 0), seq, code."""
    good = _chain(5, GATE)
    head = good[-1].hash
    theirs = _chain(2, OLD, device="gate-2", chain=OTHER_CHAIN)
    later = _chain(2, OLD, chain=OTHER_CHAIN)
    forged = _signed(2, good[1].hash, GATE, nonce="ee" * 16)
    renamed = {"body": {"key": OLD.public.text(), "software": "zaigang"}}
    backwards = _signed(5, head, GATE, mono_us=7)
    handing = {"kind": "device.key_rotated", "body": _handing_over(GATE, OLD)}
    rotation = _signed_by(_event(5, head, GATE, **handing), GATE, OLD)
    after = _signed(6, rotation.hash, OLD)
    opened = _opened(5, head)
    cleared = _cleared(6, opened.hash, opening=5)
    again = _opened(6, opened.hash)
    stale = _cleared(7, again.hash, opening=5)
    cases: list[tuple[str, list[Envelope], list[tuple[int, int | None, str]]]] = [
        ("holds", good, []),
        ("its beginning holds", good[:3], []),
        ("one event", good[:1], []),
        ("a new boot starts the monotonic clock again", [*good, _signed(5, head, GATE, boot="b1" * 16, mono_us=0)], []),
        ("a kind of a later version", [*good, _signed(5, head, GATE, kind="door.opened", body={"x": [1]})], []),
        ("the first missing", good[1:], [(0, 1, "gap")]),
        ("one missing", good[:2] + good[3:], [(2, 3, "gap")]),
        ("two missing", good[:1] + good[3:], [(1, 3, "gap")]),
        ("one doubled", good[:3] + good[2:], [(3, 2, "replay")]),
        ("two swapped", [*good[:2], good[3], good[2], good[4]], [(2, 3, "gap"), (3, 2, "out_of_order")]),
        ("one signed anew", [*good[:2], forged, *good[3:]], [(3, 3, "broken_link")]),
        ("two for one place", [*good[:3], forged, *good[3:]], [(3, 2, "fork")]),
        ("the monotonic clock runs back", [*good, backwards], [(5, 5, "monotonic_regression")]),
        ("another terminal's event among them", [*good[:2], theirs[0], *good[2:]], [(2, 0, "wrong_chain")]),
        ("another chain of the terminal", good + later, [(5, 0, "wrong_chain"), (6, 1, "wrong_chain")]),
        ("a retired key goes on", [*good, _signed(5, head, OLD)], [(5, 5, "unknown_key")]),
        ("an unknown terminal", _chain(1, COLLECTOR, device="gate-9"), [(0, 0, "unknown_key")]),
        ("does not start with device.enrolled", [_signed(0, None, GATE, kind="coverage")], [(0, 0, "bad_start")]),
        ("starts with another key's name", [_signed(0, None, GATE, **renamed)], [(0, 0, "bad_start")]),
        ("a payload that is no event", [*good, sign(EVENT_TYPE, b"{}", GATE)], [(5, None, "invalid_event")]),
        ("the key is rotated", [*good, rotation, after], []),
        (
            "the key before goes on after a rotation",
            [*good, rotation, _signed(6, rotation.hash, GATE)],
            [(6, 6, "unknown_key")],
        ),
        (
            "a rotation signed by the key before alone",
            [*good, _signed(5, head, GATE, **handing)],
            [(5, 5, "signature_count")],
        ),
        (
            "a rotation signed by the new key alone",
            [*good, _signed(5, head, OLD, **handing)],
            [(5, 5, "signature_count")],
        ),
        (
            "a rotation signed in the other order",
            [*good, _signed_by(_event(5, head, GATE, **handing), OLD, GATE)],
            [(5, 5, "unknown_key")],
        ),
        ("a rotation that came before", [*good, rotation, rotation, after], [(6, 5, "replay")]),
        ("a rotation left out", [*good, after], [(5, 6, "unknown_key")]),
        (
            "a rotation from a key that does not count",
            [*good, _signed(5, head, GATE, kind="device.key_rotated", body=_handing_over(OLD, COLLECTOR))],
            [(5, 5, "invalid_body")],
        ),
        (
            "another event with two signatures",
            [*good, _signed_by(_event(5, head, GATE), GATE, OLD)],
            [(5, 5, "signature_count")],
        ),
        ("a punch is verified", [*good, _punch(5, head)], []),
        ("verified after an opening", [*good, opened, _punch(6, opened.hash)], [(6, 6, "verified_while_opened")]),
        ("for review after an opening", [*good, opened, _punch(6, opened.hash, verdict="review")], []),
        ("verified after the clear", [*good, opened, cleared, _punch(7, cleared.hash)], []),
        (
            "verified after the clear of an older opening",
            [*good, opened, again, stale, _punch(8, stale.hash)],
            [(8, 8, "verified_while_opened")],
        ),
        (
            "a punch whose body cannot be read, after an opening",
            [*good, opened, _signed(6, opened.hash, GATE, kind="punch.recorded", body={"verdict": "verified"})],
            [],
        ),
        ("a first event whose body cannot be read", [_signed(0, None, GATE, body={"key": 1})], []),
        (
            "a receipt among events",
            [*good, sign(RECEIPT_TYPE, _event(5, head, GATE).payload(), GATE)],
            [(5, 5, "wrong_payload_type")],
        ),
    ]
    return {
        "keys": {"gate-1": [GATE.public.text(), OLD.public.text()], "gate-2": [OLD.public.text()]},
        "cases": [
            {
                "name": name,
                "envelopes": [envelope.encode().decode() for envelope in envelopes],
                "problems": [{"position": position, "seq": seq, "code": code} for position, seq, code in problems],
            }
            for name, envelopes, problems in cases
        ],
    }


def _signed_by(event: Event, *keys: SigningKey) -> Envelope:
    return sign(EVENT_TYPE, event.payload(), *keys)


def _opened(seq: int, prev: str) -> Envelope:
    return _signed(seq, prev, GATE, kind="enclosure.opened", body={"found": "running", "seen_at": TIME})


def _cleared(seq: int, prev: str, *, opening: int) -> Envelope:
    body = {"opening": opening, "authorised_by": "Ren", "authorisation": "e0" * 16, "clearance": "e30="}
    return _signed(seq, prev, GATE, kind="enclosure.cleared", body=body)


def _punch(seq: int, prev: str, verdict: str = "verified") -> Envelope:
    return _signed(seq, prev, GATE, kind="punch.recorded", body=PUNCH | {"verdict": verdict})


def _handing_over(before: SigningKey, after: SigningKey) -> dict[str, str]:
    return {"previous": before.public.text(), "key": after.public.text(), "reason": "planned: every year"}


def receipt_vectors() -> dict[str, Any]:
    """The collector's receipts for gate-1's chain."""
    said = Receipt(device="gate-1", chain=CHAIN, upto=4, head="ab" * 32, tree_size=12, time=TIME)
    fields = said.model_dump(mode="json")
    good = sign_receipt(said, COLLECTOR)
    bad = [
        ("another terminal", sign_receipt(said.model_copy(update={"device": "gate-2"}), COLLECTOR), "receipt_mismatch"),
        ("another chain", sign_receipt(said.model_copy(update={"chain": OTHER_CHAIN}), COLLECTOR), "receipt_mismatch"),
        ("another signer", sign_receipt(said, GATE), "unknown_key"),
        ("an event", sign(EVENT_TYPE, canonical(fields), COLLECTOR).encode(), "wrong_payload_type"),
        ("no upto", _receipt({key: value for key, value in fields.items() if key != "upto"}), "receipt"),
        ("a negative upto", _receipt({**fields, "upto": -1}), "receipt"),
        ("no real date", _receipt({**fields, "time": "2026-02-30T08:00:00.000Z"}), "receipt"),
        ("a payload that is not canonical", sign(RECEIPT_TYPE, b'{"a": 1}', COLLECTOR).encode(), "not_canonical"),
    ]
    return {
        "key": COLLECTOR.public.text(),
        "device": "gate-1",
        "chain": CHAIN,
        "good": [{"name": "holds", "envelope": good.decode(), "receipt": fields}],
        "bad": [{"name": name, "envelope": data.decode(), "code": code} for name, data, code in bad],
    }


def _receipt(fields: dict[str, Any]) -> bytes:
    return sign(RECEIPT_TYPE, canonical(fields), COLLECTOR).encode()


def punch_receipt_vectors() -> dict[str, Any]:
    """What stands in workers' QR codes."""
    good = []
    cases: list[tuple[str, SigningKey, PunchReceipt]] = [
        ("Ed25519", GATE, PunchReceipt("gate-1", CHAIN, 4, "ab" * 32, TIME)),
        ("ES256", TPM, PunchReceipt("gate-1", CHAIN, 4, "ab" * 32, TIME)),
        ("the longest", GATE, PunchReceipt("g" * 48, "ff" * 16, 2**53 - 1, "ff" * 32, TIME)),
    ]
    for name, key, said in cases:
        fields = {"device": said.device, "chain": said.chain, "seq": said.seq, "hash": said.hash, "time": said.time}
        good.append({"name": name, "key": key.public.text(), "text": said.text(key), "receipt": fields})
    text = cases[0][2].text(GATE)
    bad = [
        ("another terminal's name", text.replace("gate-1", "gate-2"), "bad_signature"),
        ("another seq", text.replace("/4/", "/5/"), "bad_signature"),
        ("another time", text.replace("08:00", "09:00", 1), "bad_signature"),
        ("another signer", cases[0][2].text(OLD), "bad_signature"),
        ("unused bits set", text[:-1] + chr(ord(text[-1]) + 1), "receipt"),
        ("padding", text + "==", "receipt"),
        ("a line feed", text + "\n", "receipt"),
        ("a leading nought", text.replace("/4/", "/04/"), "receipt"),
        ("beyond 2^53", text.replace("/4/", "/9007199254740993/"), "receipt"),
        ("another version", text.replace("-v1/", "-v2/"), "receipt"),
        ("nothing", "", "receipt"),
        ("301 characters", "x" * 301, "too_large"),
    ]
    return {
        "payloadType": PUNCH_RECEIPT_TYPE,
        "good": good,
        "bad": [{"name": name, "key": GATE.public.text(), "text": other, "code": code} for name, other, code in bad],
    }


LEAVES = [leaf_hash(bytes([number]) * 32) for number in [*range(256), *range(44)]]


def merkle_vectors() -> dict[str, Any]:
    """Roots of growing trees, and proofs with the trees they are for."""
    sizes = [0, 1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 300]
    places = [(0, 1), (0, 2), (1, 2), (2, 3), (4, 7), (6, 7), (0, 256), (255, 256), (256, 257), (123, 300), (299, 300)]
    growths = [(0, 5), (1, 2), (2, 3), (3, 7), (4, 7), (6, 8), (7, 7), (255, 256), (256, 300), (257, 300), (299, 300)]
    bad_path = [one.hex() for one in inclusion_proof(4, 7, LEAVES)]
    bad_growth = [one.hex() for one in consistency_proof(3, 7, LEAVES)]
    half, eight = [one.hex() for one in consistency_proof(4, 8, LEAVES)], root_of(LEAVES[:8])
    stray = LEAVES[1]
    above = node_hash(stray, LEAVES[0])  # what a reader comes to that takes a step where the tree has ended
    return {
        "leaf_data": "leaf n is the hash of 32 bytes n (300 leaves, n modulo 256)",
        "roots": [{"size": size, "root": root_of(LEAVES[:size]).hex()} for size in sizes],
        "inclusion": [
            {"index": index, "size": size, "path": [one.hex() for one in inclusion_proof(index, size, LEAVES)]}
            for index, size in places
        ],
        "consistency": [
            {"old": old, "new": new, "proof": [one.hex() for one in consistency_proof(old, new, LEAVES)]}
            for old, new in growths
        ],
        "bad_inclusion": [
            {"name": "another place", "index": 3, "size": 7, "path": bad_path},
            {"name": "a step missing", "index": 4, "size": 7, "path": bad_path[:-1]},
            {"name": "a step too many", "index": 4, "size": 7, "path": [*bad_path, "00" * 32]},
            {"name": "steps swapped", "index": 4, "size": 7, "path": bad_path[::-1]},
            {"name": "a place beyond the end", "index": 7, "size": 7, "path": bad_path},
            {"name": "another root", "index": 4, "size": 7, "path": bad_path, "root": "00" * 32},
            {"name": "the root of a smaller tree", "index": 0, "size": 2, "path": [], "root": LEAVES[0].hex()},
            {"name": "the root of a larger tree", "index": 0, "size": 1, "path": [stray.hex()], "root": above.hex()},
        ],
        "bad_consistency": [
            {"name": "another older size", "old": 2, "new": 7, "proof": bad_growth},
            {"name": "a step missing", "old": 3, "new": 7, "proof": bad_growth[:-1]},
            {"name": "a step too many", "old": 3, "new": 7, "proof": [*bad_growth, "00" * 32]},
            {"name": "a proof where none is due", "old": 7, "new": 7, "proof": ["00" * 32]},
            {"name": "another older root", "old": 3, "new": 7, "proof": bad_growth, "old_root": "00" * 32},
            {"name": "another newer root", "old": 3, "new": 7, "proof": bad_growth, "new_root": "00" * 32},
            {"name": "another root of one size", "old": 7, "new": 7, "proof": [], "old_root": "00" * 32},
            {"name": "the root of a smaller tree", "old": 4, "new": 16, "proof": half, "new_root": eight.hex()},
            {
                "name": "the roots of larger trees",
                "old": 3,
                "new": 4,
                "proof": [*(one.hex() for one in consistency_proof(3, 4, LEAVES)), stray.hex()],
                "old_root": node_hash(stray, root_of(LEAVES[:3])).hex(),
                "new_root": node_hash(stray, root_of(LEAVES[:4])).hex(),
            },
            {"name": "a root of nothing", "old": 0, "new": 7, "proof": [], "old_root": "00" * 32},
            {"name": "a proof from nothing", "old": 0, "new": 7, "proof": ["00" * 32]},
        ],
    }


ORIGIN = "ledger.example/harbour"
LOG = NoteSigner(ORIGIN, SignatureType.ED25519, ed25519_of(21))
WITNESS = NoteSigner("witness.example/works-council", SignatureType.COSIGNATURE_V1, ed25519_of(22))
OTHER_WITNESS = NoteSigner("witness.example/union", SignatureType.COSIGNATURE_V1, ed25519_of(23))
SECONDS = 1_772_352_000  # TIME


def checkpoint_vectors() -> dict[str, Any]:
    """Checkpoints with the policy they are held against."""
    checkpoint = Checkpoint(ORIGIN, 257, root_of(LEAVES[:257]))
    note = sign_checkpoint(checkpoint, LOG)
    text = note.text
    first, second = WITNESS.cosign(text, SECONDS), OTHER_WITNESS.cosign(text, SECONDS + 1)
    smaller = sign_checkpoint(Checkpoint(ORIGIN, 256, root_of(LEAVES[:256])), LOG)
    elsewhere = NoteSigner("ledger.example/other", LOG.type, LOG.key)
    other = sign_checkpoint(Checkpoint("ledger.example/other", 257, checkpoint.root), elsewhere)
    stranger = NoteSigner("witness.example/nobody", WITNESS.type, ed25519_of(24)).cosign(text, SECONDS)
    one_later = NoteSignature(first.name, first.key_id, (SECONDS + 1).to_bytes(8, "big") + first.signature[8:])
    whole = note.adding(first, second).encode()
    good = [
        ("no witness wanted", note.encode(), 0),
        ("one of two", note.adding(first).encode(), 1),
        ("two of two", whole, 2),
        ("an unknown line beside them", note.adding(stranger, first).encode(), 1),
    ]
    bad = [
        ("a cosignature too few", note.adding(first).encode(), 2, "missing_cosignatures"),
        ("the same witness twice", note.adding(first, first).encode(), 2, "missing_cosignatures"),
        ("a stranger's cosignature", note.adding(stranger).encode(), 1, "missing_cosignatures"),
        (
            "a cosignature of another checkpoint",
            note.adding(WITNESS.cosign(smaller.text, SECONDS)).encode(),
            1,
            "bad_signature",
        ),
        ("another time", note.adding(one_later).encode(), 1, "bad_signature"),
        ("another size", whole.replace(b"\n257\n", b"\n258\n"), 0, "bad_signature"),
        ("another ledger", other.encode(), 0, "wrong_origin"),
        ("not signed by the log", whole.replace(note.signatures[0].line().encode(), b""), 2, "unknown_key"),
        ("a size with a leading nought", whole.replace(b"\n257\n", b"\n0257\n"), 0, "invalid_checkpoint"),
        ("no signature", text.encode() + b"\n", 0, "invalid_note"),
        ("a carriage return", whole.replace(b"\n257\n", b"\r\n257\n"), 0, "invalid_note"),
        ("cut off", whole[:-1], 0, "invalid_note"),
    ]
    proof = TlogProof(4, inclusion_proof(4, 257, LEAVES), whole)
    proof_text = proof.encode().decode()
    bad_proofs = [
        ("another place", proof_text.replace("index 4\n", "index 5\n"), "inclusion_failed"),
        ("a place beyond the end", proof_text.replace("index 4\n", "index 257\n"), "inclusion_failed"),
        ("a leading nought", proof_text.replace("index 4\n", "index 04\n"), "invalid_proof"),
        ("another version", proof_text.replace("@v1", "@v2"), "invalid_proof"),
        ("a false checkpoint", proof_text.replace("\n257\n", "\n258\n"), "bad_signature"),
    ]
    return {
        "origin": ORIGIN,
        "log": LOG.public.text(),
        "witnesses": [WITNESS.public.text(), OTHER_WITNESS.public.text()],
        "good": [
            {"name": name, "note": data.decode(), "needed": needed, "size": 257, "root": checkpoint.root.hex()}
            for name, data, needed in good
        ],
        "bad": [
            {"name": name, "note": data.decode(), "needed": needed, "code": code} for name, data, needed, code in bad
        ],
        "leaf": LEAVES[4].hex(),
        "good_proofs": [{"name": "holds", "proof": proof_text, "index": 4}],
        "bad_proofs": [{"name": name, "proof": data, "code": code} for name, data, code in bad_proofs],
    }


FILES = {
    "canonical": canonical_vectors,
    "keys": key_vectors,
    "envelopes": envelope_vectors,
    "chains": chain_vectors,
    "receipts": receipt_vectors,
    "punch_receipts": punch_receipt_vectors,
    "merkle": merkle_vectors,
    "checkpoints": checkpoint_vectors,
    "events": event_vectors,
    "gap_requests": gap_request_vectors,
    "commands": command_vectors,
    "authorisations": authorisation_vectors,
    "clearances": clearance_vectors,
    "handovers": handover_vectors,
    "joining": joining_vectors,
}


def main(folder: Path) -> None:
    """Write every file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (folder / f"{name}.json").write_text(json.dumps(make(), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "vectors")

"""Write the seeds that fuzzing starts from: one good input a target, from the published vectors and our own signer."""

from __future__ import annotations

from pathlib import Path

from evidence.canonical import canonical
from evidence.envelope import EVENT_TYPE, sign
from evidence.receipt import PunchReceipt, Receipt, sign_receipt
from fuzz.targets import KEY

CASES = Path(__file__).parent / "cases"
TIME = "2026-05-04T08:00:00.000Z"


def seeds() -> dict[str, bytes]:
    """Return one good input for every target."""
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
    return {
        "envelope": sign(EVENT_TYPE, canonical(event), KEY).encode(),
        "event": canonical(event),
        "receipt": sign_receipt(Receipt.model_validate(fields), KEY),
        "signed_receipt": canonical(fields),
        "gap_request": canonical(gap),
        "command": canonical(command),
        "punch_receipt": PunchReceipt("gate-1", "0" * 32, 3, "0" * 64, TIME).text(KEY).encode(),
        "topic": b"zaigang/v1/east/gate-1/event",
    }


def main() -> None:
    """Write them."""
    for target, data in seeds().items():
        folder = CASES / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "seed").write_bytes(data)


if __name__ == "__main__":
    main()

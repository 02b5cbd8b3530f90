"""docs/spec/fields.md lists every field of everything that is signed or sent, as the implementation has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from evidence.authorisation import EnrolmentAuthorisation
from evidence.clearance import Clearance
from evidence.command import Command, EraseWorkerOrder, SpotCheckOrder
from evidence.delivery import Delivery
from evidence.events import BODIES, ChallengeRecord, Check, ClockReading, Event, Fact, PromptRecord
from evidence.gap import GapRequest
from evidence.handover import KeyHandover
from evidence.provisioning import Answer, Inquiry, Join, Membership, Renewal
from evidence.receipt import Receipt
from evidence.status import Health, Part, Status
from evidence.transfer import PeerCard, Transfer, TransferAnswer

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "fields.md"
MODELS: dict[str, type[Fact]] = {str(getattr(kind, "value", kind)): model for kind, model in BODIES.items()} | {
    "event": Event,
    "clock": ClockReading,
    "check": Check,
    "challenge": ChallengeRecord,
    "prompt": PromptRecord,
    "receipt": Receipt,
    "gap-request": GapRequest,
    "authorisation": EnrolmentAuthorisation,
    "clearance": Clearance,
    "command": Command,
    "spot_check": SpotCheckOrder,
    "erase_worker": EraseWorkerOrder,
    "handover": KeyHandover,
    "join": Join,
    "join-inquiry": Inquiry,
    "certificate-renewal": Renewal,
    "join-answer": Answer,
    "membership": Membership,
    "delivery": Delivery,
    "card": PeerCard,
    "transfer": Transfer,
    "transfer-answer": TransferAnswer,
    "health": Health,
    "part": Part,
    "status": Status,
}


def _documented() -> dict[str, dict[str, tuple[bool, bool]]]:
    """By block: each field with whether it may be missing and whether it may be null."""
    blocks: dict[str, dict[str, tuple[bool, bool]]] = {}
    names: list[str] = []
    for line in "\n".join(re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL)).splitlines():
        if line.startswith("  "):
            field, rest = line.split(maxsplit=1)
            form = re.split(r"\s{2,}", rest)[0]
            for name in names:
                blocks[name][field] = (form.startswith("("), form.removesuffix(")").endswith("?"))
        elif line:
            names = line.split(", ")
            blocks |= {name: {} for name in names}
    return blocks


def _implemented(model: type[Fact]) -> dict[str, tuple[bool, bool]]:
    return {
        info.alias or name: (not info.is_required(), _nullable(info.annotation))
        for name, info in model.model_fields.items()
    }


def _nullable(annotation: object) -> bool:
    try:
        TypeAdapter(annotation).validate_python(None)
    except ValidationError:
        return False
    return True


def test_every_block_is_there_and_no_other() -> None:
    assert _documented().keys() == MODELS.keys()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_block_has_the_fields_that_are_read(name: str) -> None:
    assert _documented()[name] == _implemented(MODELS[name])

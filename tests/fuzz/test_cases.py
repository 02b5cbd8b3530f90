"""Every kept case of fuzzing, and simple changes of every seed, go through every parser without a foreign error."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evidence.errors import EvidenceError
from fuzz.seed import seeds
from fuzz.targets import TARGETS, run

CASES = Path(__file__).parents[2] / "fuzz" / "cases"


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_is_read_and_every_kept_case_is_refused_or_read(target: str) -> None:
    for seed in seeds()[target]:
        TARGETS[target](seed)
    for case in sorted((CASES / target).glob("*")):
        run(target, case.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_changed_seeds_raise_only_the_parsers_own_errors(target: str) -> None:
    dice, inputs = random.Random(7), seeds()[target]
    refused = 0
    for _ in range(400):
        data = bytearray(dice.choice(inputs))
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[at : at + 1] = dice.randbytes(1)
                case 1:
                    del data[at : at + dice.randrange(8)]
                case 2:
                    data[at:at] = dice.choice([b"\0", b'"', b"}", b"1e9", b"\xff\xfe", b"\\u0000", b"-", b"[" * 40])
                case _:
                    data[at:at] = data[: dice.randrange(len(data) + 1)]
        try:
            TARGETS[target](bytes(data))
        except EvidenceError:
            refused += 1
    assert refused > 100

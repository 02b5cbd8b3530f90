"""hardware.md's wiring table: every BCM number on its own physical pin, and no pin used twice."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "hardware.md").read_text()
# The 40-pin header of every Raspberry Pi since the B+.
PIN_OF_GPIO = {
    0: 27, 1: 28, 2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8, 15: 10,
    16: 36, 17: 11, 18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37, 27: 13,
}  # fmt: skip
POWER_AND_GROUND = {1, 2, 4, 6, 9, 14, 17, 20, 25, 30, 34, 39}
KEPT_FREE = {0, 1, 2, 3, 4, 8, 25}


def wiring() -> list[tuple[str, list[int], list[int]]]:
    """Return use, BCM numbers and pins of each row."""
    table = TEXT.partition("## Wiring")[2].partition("Left free on purpose")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    return [(row[0], numbers(row[1]), numbers(row[2])) for row in rows if row[0] != "use"]


def numbers(cell: str) -> list[int]:
    return [int(found) for found in re.findall(r"\d+", cell)]


def test_every_signal_is_on_the_pin_of_its_gpio() -> None:
    signals = [row for row in wiring() if row[1]]
    assert len(signals) >= 10
    for use, gpios, pins in signals:
        assert [PIN_OF_GPIO[one] for one in gpios] == pins, use


def test_power_and_ground_are_on_power_and_ground_pins() -> None:
    for use, gpios, pins in wiring():
        if not gpios:
            assert set(pins) <= POWER_AND_GROUND, use


def test_no_pin_is_used_twice() -> None:
    pins = [pin for _, _, used in wiring() for pin in used]
    assert len(pins) == len(set(pins))


def test_what_is_kept_free_is_free() -> None:
    assert not KEPT_FREE & {gpio for _, gpios, _ in wiring() for gpio in gpios}

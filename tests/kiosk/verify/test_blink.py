from __future__ import annotations

import pytest

from kiosk.verify.blink import Blink, BlinkDetector

FRAME_US = 40_000


def fed(ratios: list[tuple[float, float]], detector: BlinkDetector | None = None) -> list[Blink]:
    detector = detector or BlinkDetector()
    found = (detector.feed(number * FRAME_US, eyes) for number, eyes in enumerate(ratios))
    return [blink for blink in found if blink]


def closing(open_ratio: float, share: float = 0.4, frames: int = 4) -> list[tuple[float, float]]:
    lids = (open_ratio, open_ratio)
    return [lids] * 20 + [(open_ratio * share, open_ratio * share)] * frames + [lids] * 10


@pytest.mark.parametrize("open_ratio", [0.19, 0.32, 0.45])
def test_a_blink_is_seen_whatever_the_shape_of_the_eyes(open_ratio: float) -> None:
    (blink,) = fed(closing(open_ratio))
    assert blink == Blink(20 * FRAME_US, 24 * FRAME_US)


def test_narrow_eyes_are_not_closed_eyes() -> None:
    assert fed([(0.19, 0.19)] * 60) == []


def test_a_wink_is_no_blink() -> None:
    assert fed([(0.3, 0.3)] * 20 + [(0.05, 0.3)] * 4 + [(0.3, 0.3)] * 10) == []


def test_eyes_shut_for_longer_than_a_second_are_no_blink() -> None:
    assert fed(closing(0.3, frames=30)) == []


def test_half_shut_lids_are_no_blink() -> None:
    assert fed(closing(0.3, share=0.7)) == []


def test_two_quick_blinks_are_two() -> None:
    lids = [(0.3, 0.3)] * 20 + [(0.1, 0.1)] * 3 + [(0.215, 0.215)] * 2 + [(0.1, 0.1)] * 3 + [(0.3, 0.3)] * 5
    assert len(fed(lids)) == 2

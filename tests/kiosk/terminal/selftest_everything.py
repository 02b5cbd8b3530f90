"""A self-test whose parts all have much to say, served as a process of its own: `python -m … (trouble|well)`."""

from __future__ import annotations

import sys
from typing import Any

from kiosk.selftest import Line
from kiosk.selftest_air import Bar, Heard, beacon_bars, satellite_bars
from kiosk.selftest_texts import PARTS, Words
from kiosk.sensors.gps_sky import Satellite
from kiosk.terminal.selftest_page import attach_selftest
from kiosk.terminal.serve import TerminalServer

SEEN = Words(
    "看到两个锚点 ★ibeacon:6d1c9f1e-0d4b-4f5a-9c53-2f1f5d6a7b10:1:7 -52 dBm，另有十四个路人的信标",
    "anchors: 1, ★ibeacon:6d1c9f1e-0d4b-4f5a-9c53-2f1f5d6a7b10:1:7 -52 dBm and fourteen passers-by's",
)
DO = Words(
    "检查接线和设置，让天线看到天空，再等一分钟；还不行就换一根线",
    "Check the wiring and the setting, give the antenna a view of the sky, wait another minute; else another cable",
)
NOTHING = Words("", "")
PARTS_OF_ALL = (*PARTS, "radar")
HEARD_WORDS = Words("5 个锚点，共 12 个信标", "anchors: 5, beacons: 12")
SKY_WORDS = Words(
    "收到 12 颗卫星，可见 14 颗，25 次定位，在工地内，与终端时钟不一致",
    "12 of 14 satellites heard, 25 fixes, inside the fence, differs from our clock",
)


def sky_bars(count: int) -> tuple[Bar, ...]:
    """Satellites of every strength."""
    return satellite_bars(Satellite(f"G{'PLABQ'[n % 5]}{n + 1:02d}", max(8, 49 - 2 * n), 40, 90) for n in range(count))


def air_bars(anchors: int, strangers: int) -> tuple[Bar, ...]:
    """Beacons of one maker, who differ in their last digits, and passers-by."""
    made = "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:12345:"
    ours = [Heard(f"{made}{n + 1}", -52 - 6 * n, f"{made}{n + 1}", 20, 0) for n in range(anchors)]
    return beacon_bars([*ours, *(Heard(f"eddystone-uid:{n:032x}", -80 - n, None, 3, 4) for n in range(strangers))])


class Everything:
    """A self-test whose parts all have much to say."""

    hint = Words("请看摄像头", "Look here")

    def __init__(self, trouble: bool) -> None:
        self.trouble = trouble

    def lines(self) -> list[Line]:
        state: Any = "failed" if self.trouble else "ok"
        do = DO if self.trouble else NOTHING
        lines = {part: Line(part, state, SEEN, do) for part in PARTS_OF_ALL}
        crowded = (30, 5, 20) if self.trouble else (12, 4, 0)
        lines["gps"] = Line("gps", state, SKY_WORDS, do, sky_bars(crowded[0]))
        lines["beacons"] = Line("beacons", state, HEARD_WORDS, do, air_bars(*crowded[1:]))
        return list(lines.values())

    def picture(self) -> bytes | None:
        return None


def main(trouble: bool) -> None:
    """Serve until the standard input ends."""
    test: Any = Everything(trouble)
    server = TerminalServer(None, host="127.0.0.1", port=0, page=lambda app: attach_selftest(app, test, "zh"))
    server.start()
    print(server.url, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1] == "trouble")

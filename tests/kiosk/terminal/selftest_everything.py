"""A self-test whose parts all have much to say, served as a process of its own: `python -m … (trouble|well)`."""

from __future__ import annotations

import sys
from typing import Any

from kiosk.selftest import Line
from kiosk.selftest_texts import PARTS, Words
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
PARTS_OF_ALL = (*PARTS, "scene", "presence", "badge_reader", "radar")


class Everything:
    """A self-test whose parts all have much to say."""

    hint = Words("请看摄像头", "Look here")

    def __init__(self, trouble: bool) -> None:
        self.trouble = trouble

    def lines(self) -> list[Line]:
        state: Any = "failed" if self.trouble else "ok"
        return [Line(part, state, SEEN, DO if self.trouble else NOTHING) for part in PARTS_OF_ALL]

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

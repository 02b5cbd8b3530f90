"""`zaigang kiosk selftest`: what works at a site, as a table, as JSON, on the terminal's screen."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from zaigang.commands.kiosk_asked import Config

if TYPE_CHECKING:
    from kiosk.selftest import Line, Selftest


def selftest(
    config: Config = None,
    screen: Annotated[
        bool, typer.Option("--screen", help="Show it with the live picture on the terminal's screen until Ctrl-C.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the lines to this file too.")] = None,
    patience_s: Annotated[float, typer.Option("--seconds", help="How long the parts have to warm up.")] = 40.0,
    language: Annotated[str, typer.Option(help="zh or en; the screen's own where not given.")] = "",
) -> None:
    """Say what works, what does not and what to do; needs the terminal's service to be stopped meanwhile."""
    from kiosk.app import Kiosk
    from kiosk.errors import KioskError
    from kiosk.log import configure
    from kiosk.selftest import Selftest, all_well, failed_to_start, wait_until_settled
    from kiosk.sensors.errors import SensorError
    from kiosk.settings import KioskSettings
    from kiosk.terminal.selftest_page import attach_selftest
    from kiosk.terminal.serve import TerminalServer
    from kiosk.verify.errors import VerifyError

    configure()
    settings = KioskSettings.load(config)
    chosen: Literal["zh", "en"] = "zh" if (language or settings.language) == "zh" else "en"
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: over.set())

    def tell(lines: list[Line], test: Selftest | None = None) -> None:
        if json_file is not None:
            json_file.write_text(json.dumps(_as_json(lines, test, chosen), ensure_ascii=False, indent=1) + "\n")
        _print_lines(lines, chosen)

    try:
        kiosk = Kiosk(settings, screen=False)
        test = Selftest(kiosk)
        with kiosk:
            server = None
            if screen:
                server = TerminalServer(
                    None,
                    host=settings.screen_host,
                    port=settings.screen_port,
                    page=lambda served: attach_selftest(served, test, chosen),
                )
                server.start()
                test.screen_url = server.url
                typer.echo(server.url, err=True)
            wait_until_settled(test, patience_s, over)
            lines = test.lines()
            tell(lines, test)
            if server is not None:
                over.wait()
                lines = test.lines()
                tell(lines, test)
                server.stop()
    except (KioskError, VerifyError, SensorError) as error:
        lines = failed_to_start(error)
        tell(lines)
    raise typer.Exit(0 if all_well(lines) else 1)


def _as_json(lines: Sequence[Line], test: Selftest | None, language: Literal["zh", "en"]) -> dict[str, object]:
    from kiosk.selftest import all_well

    return {
        "ok": all_well(list(lines)),
        "lines": [
            {"part": line.part, "state": line.state, "seen": line.seen[language], "do": line.do[language]}
            for line in lines
        ],
        "beacons": [asdict(one) for one in test.beacons()] if test is not None else [],
        "sky": {"satellites": [asdict(one) for one in test.sky()] if test is not None else []},
    }


def _print_lines(lines: Sequence[Line], language: Literal["zh", "en"]) -> None:
    from rich.table import Table

    from kiosk.selftest_texts import HEADINGS, STATES

    colours = {"ok": "green", "doubt": "yellow", "failed": "red", "absent": "dim"}
    table = Table(*(HEADINGS[name][language] for name in ("part", "state", "seen", "do")), highlight=False)
    for line in lines:
        state = f"[{colours[line.state]}]{STATES[line.state][language]}[/]"
        told = "\n".join([line.seen[language], *_bars(line)])
        table.add_row(line.name[language], state, escape(told), escape(line.do[language]))
    Console().print(table)


def _bars(line: Line) -> list[str]:
    if line.bars and line.bars[0].kind == "satellite":
        return ["  ".join(f"{one.whole}:{one.value}" for one in line.bars)]
    return [f"{'★' if one.marked else '·'} {one.whole} {one.value} dBm" for one in line.bars]

"""`zaigang kiosk`: run a terminal, enrol a worker on it, show its key, test it at the site."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from kiosk.selftest import Line

app = typer.Typer(help="The punch terminal.", no_args_is_help=True)
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings (TOML); ZAIGANG_KIOSK_… variables stand over it.")
]


@app.command()
def run(config: Config = None) -> None:
    """Run the terminal until SIGTERM or Ctrl-C."""
    from kiosk.app import Kiosk
    from kiosk.log import configure
    from kiosk.settings import KioskSettings

    configure()
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    with Kiosk(KioskSettings.load(config)) as kiosk:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        while not over.wait(1.0):
            if kiosk.failed.is_set():
                raise typer.Exit(1)


@app.command()
def key(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show this terminal's public key, made now if there is none; register it with `zaigang collector device add`."""
    from kiosk.identity import load_or_create
    from kiosk.settings import KioskSettings

    settings = KioskSettings.load(config)
    public = load_or_create(settings.key_file).public
    if as_json:
        typer.echo(json.dumps({"device": settings.device, "key": public.text(), "fingerprint": public.fingerprint}))
        return
    console = Console()
    console.print(f"device       {settings.device}", highlight=False)
    console.print(f"key          {public.text()}", highlight=False, soft_wrap=True)
    console.print(f"fingerprint  {public.fingerprint}", highlight=False)


@app.command()
def enrol(
    authorisation: Annotated[Path, typer.Option(help="The file that `zaigang collector worker authorise` wrote.")],
    config: Config = None,
    face: Annotated[
        bool, typer.Option("--face/--no-face", help="--no-face: badge and PIN only; the camera is not used.")
    ] = True,
    consent: Annotated[
        str | None, typer.Option(help="Version of the consent text that the worker has read and agreed to.")
    ] = None,
    language: Annotated[str, typer.Option(help="Language in which the consent text was read: zh or en.")] = "zh",
    pin: Annotated[
        str,
        typer.Option(prompt="PIN (4–8 digits)", confirmation_prompt=True, hide_input=True, help="For badge and PIN."),
    ] = "",
) -> None:
    """Enrol the worker who stands before the camera; needs the terminal's service to be stopped meanwhile."""
    from kiosk.app import Kiosk
    from kiosk.enrolment import Consent
    from kiosk.settings import KioskSettings

    if face and consent is None:
        raise typer.BadParameter("a face is enrolled with consent: name the text with --consent, or use --no-face")
    console = Console(stderr=True)
    kiosk = Kiosk(KioskSettings.load(config), screen=False)
    try:
        if face:
            kiosk.start()
            given = Consent.model_validate({"text_version": consent, "language": language})
            with console.status("look at the camera  请看摄像头") as status:
                done = kiosk.enrol_face(authorisation.read_text(), given, pin=pin, say=status.update)
        else:
            done = kiosk.enrol_pin(authorisation.read_text(), pin)
    finally:
        kiosk.stop()
    how = f"from {done.frames} frames" if done.frames else "with badge and PIN only"
    console.print(f"enrolled {done.worker} ({done.name}) {how}; signed as seq {done.seq}")


@app.command()
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
    from kiosk.settings import KioskSettings
    from kiosk.terminal.selftest_page import attach_selftest
    from kiosk.terminal.serve import TerminalServer

    configure()
    settings = KioskSettings.load(config)
    chosen: Literal["zh", "en"] = "zh" if (language or settings.language) == "zh" else "en"
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: over.set())

    def tell(lines: list[Line]) -> None:
        if json_file is not None:
            json_file.write_text(json.dumps(_as_json(lines, chosen), ensure_ascii=False, indent=1) + "\n")
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
            tell(lines)
            if server is not None:
                over.wait()
                lines = test.lines()
                tell(lines)
                server.stop()
    except KioskError as error:
        lines = failed_to_start(error)
        tell(lines)
    raise typer.Exit(0 if all_well(lines) else 1)


def _as_json(lines: Sequence[Line], language: Literal["zh", "en"]) -> dict[str, object]:
    from kiosk.selftest import all_well

    return {
        "ok": all_well(list(lines)),
        "lines": [
            {"part": line.part, "state": line.state, "seen": line.seen[language], "do": line.do[language]}
            for line in lines
        ],
    }


def _print_lines(lines: Sequence[Line], language: Literal["zh", "en"]) -> None:
    from rich.table import Table

    from kiosk.selftest_texts import HEADINGS, STATES

    colours = {"ok": "green", "doubt": "yellow", "failed": "red", "absent": "dim"}
    table = Table(*(HEADINGS[name][language] for name in ("part", "state", "seen", "do")), highlight=False)
    for line in lines:
        state = f"[{colours[line.state]}]{STATES[line.state][language]}[/]"
        table.add_row(line.name[language], state, escape(line.seen[language]), escape(line.do[language]))
    Console().print(table)

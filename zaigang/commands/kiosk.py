"""`zaigang kiosk`: run a terminal, enrol a worker on it, show its key."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

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


@app.command("clear-enclosure")
def clear_enclosure(
    clearance: Annotated[
        Path,
        typer.Argument(help="The file that `zaigang collector device clear-enclosure` wrote.", metavar="AUTHORISATION"),
    ],
    config: Config = None,
) -> None:
    """Let a terminal whose case was opened verify again; needs its service to be stopped and the case to be closed."""
    from kiosk.app import Kiosk
    from kiosk.settings import KioskSettings

    kiosk = Kiosk(KioskSettings.load(config), screen=False)
    try:
        seq = kiosk.clear_enclosure(clearance.read_text())
    finally:
        kiosk.stop()
    Console(stderr=True).print(f"the enclosure is cleared; signed as seq {seq}")

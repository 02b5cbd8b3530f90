"""`zaigang kiosk`: run a terminal, enrol and erase workers on it, show how it is and its key, test it at the site."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from zaigang.commands import kiosk_clip, kiosk_peers
from zaigang.commands.kiosk_stick import add_to as add_stick_commands

if TYPE_CHECKING:
    from kiosk.selftest import Line
    from kiosk.settings import KioskSettings

app = typer.Typer(help="The punch terminal.", no_args_is_help=True)
app.add_typer(kiosk_clip.app, name="clip")
app.add_typer(kiosk_peers.app, name="peers")
add_stick_commands(app)
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
    from kiosk.settings import KioskSettings
    from kiosk.terminal_key import TerminalKey
    from kiosk.tpm import choose_tpm

    settings = KioskSettings.load(config)
    public = TerminalKey(settings.key_file, choose_tpm(settings.tpm)).public
    if as_json:
        typer.echo(json.dumps({"device": settings.device, "key": public.text(), "fingerprint": public.fingerprint}))
        return
    console = Console()
    console.print(f"device       {settings.device}", highlight=False)
    console.print(f"key          {public.text()}", highlight=False, soft_wrap=True)
    console.print(f"fingerprint  {public.fingerprint}", highlight=False)


@app.command("rotate-key")
def rotate_key(
    reason: Annotated[str, typer.Option(help="Why, in the signed event.")] = "planned",
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Hand this terminal's chain over to a new key, in one event signed by both; the old key is destroyed."""
    done = _ask(config, {"do": "rotate_key", "reason": reason})
    if as_json:
        typer.echo(json.dumps(done))
        return
    console = Console()
    console.print(f"key          {done['key']}", highlight=False, soft_wrap=True)
    console.print(f"fingerprint  {done['fingerprint']}", highlight=False)
    console.print(f"signed by both keys as seq {done['seq']}; the collector takes the new key with that event")


@app.command()
def enrol(
    authorisation: Annotated[
        Path | None, typer.Option(help="The file that `zaigang collector worker authorise` wrote.")
    ] = None,
    config: Config = None,
    face: Annotated[
        bool, typer.Option("--face/--no-face", help="--no-face: badge and PIN only; the camera is not used.")
    ] = True,
    consent: Annotated[
        str | None, typer.Option(help="Version of the consent text that the worker has read and agreed to.")
    ] = None,
    language: Annotated[str, typer.Option(help="Language in which the consent text was read: zh or en.")] = "zh",
    excuse: Annotated[
        list[str] | None,
        typer.Option(help="A prompt that this worker is never asked: turn_left, turn_right, blink … Repeatable."),
    ] = None,
    supervisor: Annotated[
        str | None, typer.Option(help="Code of a supervisor who stands here and permits it instead of a file.")
    ] = None,
    supervisor_pin: Annotated[
        bool, typer.Option("--supervisor-pin", help="Ask for the supervisor's PIN; else the camera looks first.")
    ] = False,
    worker: Annotated[str | None, typer.Option(help="With --supervisor: the worker's employee code.")] = None,
    name: Annotated[str | None, typer.Option(help="With --supervisor: the worker's name.")] = None,
    pin: Annotated[
        str,
        typer.Option(prompt="PIN (4–8 digits)", confirmation_prompt=True, hide_input=True, help="For badge and PIN."),
    ] = "",
) -> None:
    """Enrol the worker who stands before the camera; a running service does it between two punches."""
    if face and consent is None:
        raise typer.BadParameter("a face is enrolled with consent: name the text with --consent, or use --no-face")
    if (authorisation is None) == (supervisor is None):
        raise typer.BadParameter("either --authorisation FILE, or --supervisor CODE with --worker and --name")
    enrolment: dict[str, Any] = {"pin": pin, "excused": excuse or []}
    if authorisation is not None:
        enrolment["authorisation"] = authorisation.read_text()
    else:
        enrolment |= {"supervisor": supervisor, "newcomer": {"worker": worker, "name": name}}
        if supervisor_pin:
            enrolment["supervisor_pin"] = typer.prompt("the supervisor's PIN", hide_input=True, err=True)
    if face:
        enrolment["consent"] = {"text_version": consent, "language": language}
    console = Console(stderr=True)
    with console.status("look at the camera  请看摄像头") as shown:
        looks = face or (supervisor is not None and not supervisor_pin)
        done = _ask(config, {"do": "enrol", "enrolment": enrolment}, shown.update, camera=looks)
    how = f"from {done['frames']} frames" if done["frames"] else "with badge and PIN only"
    console.print(f"enrolled {done['worker']} ({done['name']}) {how}; signed as seq {done['seq']}")
    if done.get("transfer") is not None:
        goes = "goes" if done["transfer"] else "does not go"
        console.print(f"asked on the screen: the face {goes} to the site's other terminals")


@app.command()
def erase(code: str, config: Config = None) -> None:
    """Erase all that lies here of a worker: face, name, PIN, consents; signed without the employee code."""
    _say_erased(_ask(config, {"do": "erase", "worker": code}), f"{code} is erased here")


@app.command()
def withdraw(
    code: str,
    scope: Annotated[str, typer.Option(help="What is no longer agreed to: face, transfer or clip.")] = "face",
    config: Config = None,
) -> None:
    """Take a worker's consent back; with the face goes the template, badge and PIN stay."""
    done = _ask(config, {"do": "withdraw", "worker": code, "scope": scope})
    _say_erased(done, f"{code} no longer agrees to {scope}" + ("; the face is erased here" if scope == "face" else ""))


@app.command()
def agree(
    code: str,
    scope: Annotated[str, typer.Option(help="What is agreed to beside the face: transfer or clip.")],
    consent: Annotated[str, typer.Option(help="Version of the consent text that the worker has read.")],
    language: Annotated[str, typer.Option(help="Language in which it was read: zh or en.")] = "zh",
    config: Config = None,
) -> None:
    """Keep and sign a further consent of an enrolled worker."""
    given = {"text_version": consent, "language": language}
    done = _ask(config, {"do": "agree", "worker": code, "scope": scope, "consent": given})
    _say_erased(done, f"{code} agrees to {scope}")


@app.command()
def status(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show how this terminal is; asked of the running service, else of its data."""
    held = _ask(config, {"do": "status"})
    if as_json:
        typer.echo(json.dumps(held, ensure_ascii=False))
        return
    console = Console()
    for part, one in held["parts"].items():
        console.print(f"{part:<12} {one['state']:<9} {one['reason']}", highlight=False, soft_wrap=True)
    again = ", ".join(held["enrol_again"]) or "nobody"
    lines = {
        "service": "running" if held["running"] else "not running",
        "enrolled": f"{held['enrolled']}, of these {held['supervisors']} supervisor(s)",
        "enrol again": f"{again} (the face was enrolled with another model)",
        "confirmed": f"{held['confirmed']} of the newest {held['punches']} punches, by a supervisor",
        "unsent": f"{held['unsent']} event(s); still to be signed: {held['owed']}",
    }
    for title, text in lines.items():
        console.print(f"{title:<12} {text}", highlight=False, soft_wrap=True)


def _say_erased(done: dict[str, Any], what: str) -> None:
    seqs = ", ".join(str(seq) for seq in done["seqs"])
    signed = f"signed as seq {seqs}" if seqs else "not signed yet; that follows when the journal takes it"
    Console(stderr=True).print(f"{what}; {signed}", highlight=False)


def _ask(
    config: Path | None,
    request: dict[str, Any],
    say: Callable[[str], None] = lambda _: None,
    *,
    camera: bool = False,
) -> dict[str, Any]:
    """Ask the running service, or where none runs open the data and do it here. The journal's lock decides.

    Raises a KioskError, a VerifyError or an EvidenceError.
    """
    from kiosk.control import ask
    from kiosk.errors import NotAnswering
    from kiosk.settings import KioskSettings

    settings = KioskSettings.load(config)
    try:
        return {**ask(settings.data_dir, request, say), "running": True}
    except NotAnswering:
        return {**_do_here(settings, request, say, camera=camera), "running": False}


def _do_here(
    settings: KioskSettings, request: dict[str, Any], say: Callable[[str], None], *, camera: bool
) -> dict[str, Any]:
    from kiosk.app import Kiosk
    from kiosk.control import answer
    from kiosk.errors import JournalBusy, NotAnswering

    try:
        kiosk = Kiosk(settings, screen=False)
    except JournalBusy as error:
        raise NotAnswering("a service holds this terminal's data and does not answer yet; try again") from error
    try:
        if camera:
            kiosk.start()
        return answer(kiosk.operations, request, say)
    finally:
        kiosk.stop()


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


import zaigang.commands.kiosk_joining  # noqa: E402,F401  it adds a command to `app`

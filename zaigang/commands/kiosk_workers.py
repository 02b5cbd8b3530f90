"""`zaigang kiosk enrol`, `erase`, `withdraw` and `agree`: who is enrolled on a terminal, and what they agree to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from zaigang.commands.kiosk_asked import Config, ask_terminal


def add_to(app: typer.Typer) -> None:
    """Add these commands to `zaigang kiosk`."""
    app.command()(enrol)
    app.command()(erase)
    app.command()(withdraw)
    app.command()(agree)


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
        done = ask_terminal(config, {"do": "enrol", "enrolment": enrolment}, shown.update, camera=looks)
    how = f"from {done['frames']} frames" if done["frames"] else "with badge and PIN only"
    console.print(f"enrolled {done['worker']} ({done['name']}) {how}; signed as seq {done['seq']}")
    if done.get("transfer") is not None:
        goes = "goes" if done["transfer"] else "does not go"
        console.print(f"asked on the screen: the face {goes} to the site's other terminals")


def erase(code: str, config: Config = None) -> None:
    """Erase all that lies here of a worker: face, name, PIN, consents; signed without the employee code."""
    _say_erased(ask_terminal(config, {"do": "erase", "worker": code}), f"{code} is erased here")


def withdraw(
    code: str,
    scope: Annotated[str, typer.Option(help="What is no longer agreed to: face, transfer or clip.")] = "face",
    config: Config = None,
) -> None:
    """Take a worker's consent back; with the face goes the template, badge and PIN stay."""
    done = ask_terminal(config, {"do": "withdraw", "worker": code, "scope": scope})
    _say_erased(done, f"{code} no longer agrees to {scope}" + ("; the face is erased here" if scope == "face" else ""))


def agree(
    code: str,
    scope: Annotated[str, typer.Option(help="What is agreed to beside the face: transfer or clip.")],
    consent: Annotated[str, typer.Option(help="Version of the consent text that the worker has read.")],
    language: Annotated[str, typer.Option(help="Language in which it was read: zh or en.")] = "zh",
    config: Config = None,
) -> None:
    """Keep and sign a further consent of an enrolled worker."""
    given = {"text_version": consent, "language": language}
    done = ask_terminal(config, {"do": "agree", "worker": code, "scope": scope, "consent": given})
    _say_erased(done, f"{code} agrees to {scope}")


def _say_erased(done: dict[str, Any], what: str) -> None:
    seqs = ", ".join(str(seq) for seq in done["seqs"])
    signed = f"signed as seq {seqs}" if seqs else "not signed yet; that follows when the journal takes it"
    Console(stderr=True).print(f"{what}; {signed}", highlight=False)

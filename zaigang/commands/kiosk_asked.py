"""How a `zaigang kiosk …` command is answered: by the running service, or where none runs by opening the data here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kiosk.settings import KioskSettings

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings (TOML); ZAIGANG_KIOSK_… variables stand over it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def ask_terminal(
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

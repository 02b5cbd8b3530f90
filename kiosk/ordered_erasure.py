"""The collector orders an erasure by a signed command: carried out at once, answered without naming anybody."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from evidence.command import Command, EraseWorkerOrder
from kiosk.commands import Done
from kiosk.erasure import Erased, ErasureDesk, NobodyThere
from kiosk.errors import KioskError


class OrderedErasure:
    """Handler of the action `erase_worker`. Done again after a restart, it finds nobody and says so."""

    def __init__(self, desk: Callable[[], ErasureDesk]) -> None:
        self._desk = desk

    def __call__(self, command: Command, *, restarted: bool) -> Done:
        """Erase a worker, or with scope `face` the template alone, for which the consent is taken back."""
        try:
            order = EraseWorkerOrder.model_validate(command.body)
        except ValidationError as error:
            return Done("refused", f"invalid: the order has {error.error_count()} field(s) wrong", {})
        try:
            erased = self._erase(order)
        except NobodyThere:  # its own words name the worker
            return Done("done", "nobody_there: nothing of the worker lies on this terminal", {"statements": []})
        except KioskError as error:
            return Done("failed", f"{error.code}: the gallery could not be changed; look at the terminal's log", {})
        later = "" if erased.seqs else ", signed as soon as the journal has room"
        return Done("done", f"erased: what lay on this terminal is gone{later}", {"statements": list(erased.seqs)})

    def _erase(self, order: EraseWorkerOrder) -> Erased:
        desk = self._desk()
        return desk.erase(order.worker, ordered=True) if order.scope == "all" else desk.withdraw(order.worker, "face")

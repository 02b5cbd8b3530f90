"""A Bluetooth adapter as bluetoothd shows it on D-Bus: is it there, is it on, and off and on again when it hangs.

Over a connection of its own (dbus-fast, which bleak brings), so that a scan that hangs does not hang this too. The
terminal's user needs Debian's group `bluetooth` to switch an adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kiosk.sensors.errors import AdapterGone, AdapterOff, ScannerFailed

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

CALL_TIMEOUT_S = 5.0  # switching a USB adapter takes about one second; a hung bluetoothd answers never
SWITCH_TRIES = 3  # to switch it on again: one that was left off is worse than one that hangs
BETWEEN_TRIES_S = 1.0

_BLUEZ, _ADAPTER, _PROPERTIES = "org.bluez", "org.bluez.Adapter1", "org.freedesktop.DBus.Properties"


async def first_adapter() -> str | None:
    """Return the name (`hci0`) of the first adapter that is on and can listen; None where there is none."""
    async with _bus() as bus:
        found = {path: found for path, found in (await _adapters(bus)).items() if found.get("Powered")}
    able = sorted(path for path, one in found.items() if "central" in one.get("Roles", ["central"]))
    return able[0].rpartition("/")[2] if able else None


async def check_adapter(name: str) -> None:
    """Return where `name` is there and on. Raises AdapterGone, AdapterOff, ScannerFailed."""
    async with _bus() as bus:
        found = (await _adapters(bus)).get(f"/org/bluez/{name}")
    if found is None:
        raise AdapterGone(f"the Bluetooth adapter {name} is gone: plug it in again")
    if not found.get("Powered"):
        raise AdapterOff(f"the Bluetooth adapter {name} is switched off: run `bluetoothctl power on`")


async def reset_adapter(name: str) -> None:
    """Switch `name` off and on again. Raises ScannerFailed; it has then tried to leave the adapter on."""
    async with _bus() as bus:
        try:
            await _switch(bus, name, on=False)
        finally:
            await _switch_on(bus, name)


async def _switch_on(bus: MessageBus, name: str) -> None:
    for left in reversed(range(SWITCH_TRIES)):
        try:
            await _switch(bus, name, on=True)
            return
        except ScannerFailed:
            if not left:
                raise
            await asyncio.sleep(BETWEEN_TRIES_S)  # "busy": it is still on its way down


async def _switch(bus: MessageBus, name: str, *, on: bool) -> None:
    from dbus_fast import Variant

    body = [_ADAPTER, "Powered", Variant("b", on)]
    await _call(bus, f"/org/bluez/{name}", _PROPERTIES, "Set", "ssv", body)


async def _adapters(bus: MessageBus) -> dict[str, dict[str, Any]]:
    from dbus_fast import unpack_variants

    (objects,) = await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", [])
    return {path: unpack_variants(shown[_ADAPTER]) for path, shown in objects.items() if _ADAPTER in shown}


async def _call(bus: MessageBus, path: str, interface: str, member: str, signature: str, body: list[Any]) -> list[Any]:
    from dbus_fast import Message, MessageType

    call = Message(destination=_BLUEZ, path=path, interface=interface, member=member, signature=signature, body=body)
    try:
        answer = await asyncio.wait_for(bus.call(call), CALL_TIMEOUT_S)
    except TimeoutError as error:
        raise ScannerFailed(f"bluetoothd does not answer {member}: restart it") from error
    if answer is None or answer.message_type is MessageType.ERROR:
        said = "nothing" if answer is None else f"{answer.error_name}: {answer.body}"
        raise ScannerFailed(f"bluetoothd refused {member}: {said}"[:300])
    return list(answer.body)


@asynccontextmanager
async def _bus() -> AsyncIterator[MessageBus]:
    from dbus_fast import BusType
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        yield await asyncio.wait_for(bus.connect(), CALL_TIMEOUT_S)
    except (OSError, EOFError, TimeoutError) as error:
        raise ScannerFailed(f"D-Bus does not answer ({type(error).__name__}: {error})") from error
    finally:
        bus.disconnect()

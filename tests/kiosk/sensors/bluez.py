"""A stand-in for bluetoothd on a private D-Bus: real bleak talks to it over a real socket.

It answers what a scan asks (adapters, discovery, advertisement monitors) and announces devices as BlueZ does: a new
one by InterfacesAdded, a known one by PropertiesChanged. It needs Debian's dbus-daemon.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from kiosk.sensors.advertisement import Advertisement

ADAPTER = "/org/bluez/hci0"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>"""


class PrivateBus:
    """A dbus-daemon that plays the system bus at `address`."""

    def __init__(self, folder: Path) -> None:
        daemon = shutil.which("dbus-daemon")
        assert daemon, "install Debian's dbus-daemon"
        socket, config = folder / "bus", folder / "bus.conf"
        config.write_text(BUS.format(socket=socket))
        self.address = f"unix:path={socket}"
        self._process = subprocess.Popen(
            [daemon, f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "dbus-daemon did not start"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class BlueZ:
    """bluetoothd with one adapter; `monitors` says whether it offers passive scanning.

    `calls` has what was asked of the adapter in order, `Powered=False` and `Powered=True` among it. `hung`: it takes
    scans and delivers nothing until it is switched off and on. `refuses_power`: how many times it is too busy for that.
    """

    def __init__(
        self,
        address: str,
        *,
        adapter: bool = True,
        powered: bool = True,
        monitors: bool = True,
        hung: bool = False,
        refuses_power: int = 0,
    ) -> None:
        self.adapter, self.powered, self.monitors = adapter, powered, monitors
        self.hung, self.refuses_power = hung, refuses_power
        self.calls: list[str] = []
        self.filters: list[dict[str, Any]] = []
        self._known: set[str] = set()
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bluez", daemon=True)
        self._thread.start()
        self._bus = self._do(self._connect)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._bus.disconnect)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def unplug(self) -> None:
        """Take the adapter away, and with it every device that it knew."""
        self.adapter = False
        for path in sorted(self._known):
            self._signal("InterfacesRemoved", "oas", [path, ["org.bluez.Device1"]])
        self._known.clear()
        self._signal("InterfacesRemoved", "oas", [ADAPTER, ["org.bluez.Adapter1"]])

    def plug_in(self) -> None:
        """Bring the adapter back."""
        self.adapter = True
        self._signal("InterfacesAdded", "oa{sa{sv}}", [ADAPTER, self._objects()[ADAPTER]])

    def switch(self, *, on: bool) -> None:
        """Switch the adapter as `bluetoothctl power` would."""
        self.powered = on
        self._changed({"Powered": Variant("b", on)})

    def vanish(self, address: str) -> None:
        """Forget a device, as BlueZ does some time after its last advertisement."""
        path = f"{ADAPTER}/dev_{address.replace(':', '_')}"
        self._known.discard(path)
        self._signal("InterfacesRemoved", "oas", [path, ["org.bluez.Device1"]])

    def advertise(self, advertisement: Advertisement) -> None:
        """Announce what the radio heard."""
        if self.hung or not (self.adapter and self.powered):
            return
        path = f"{ADAPTER}/dev_{advertisement.address.replace(':', '_')}"
        body: list[Any]
        changed = {
            "RSSI": Variant("n", advertisement.rssi),
            "ManufacturerData": Variant(
                "a{qv}", {company: Variant("ay", data) for company, data in advertisement.manufacturer.items()}
            ),
            "ServiceData": Variant(
                "a{sv}", {service: Variant("ay", data) for service, data in advertisement.services.items()}
            ),
        }
        if path in self._known:
            body = ["org.bluez.Device1", changed, []]
            signal = Message.new_signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body)
        else:
            self._known.add(path)
            whole = {
                "Address": Variant("s", advertisement.address),
                "AddressType": Variant("s", "random"),
                "Alias": Variant("s", "beacon"),
                "Adapter": Variant("o", ADAPTER),
                "Connected": Variant("b", False),
                "UUIDs": Variant("as", []),
                **changed,
            }
            body = [path, {"org.bluez.Device1": whole}]
            signal = Message.new_signal(
                "/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "oa{sa{sv}}", body
            )
        self._loop.call_soon_threadsafe(self._bus.send, signal)

    def _signal(self, member: str, signature: str, body: list[Any]) -> None:
        signal = Message.new_signal("/", "org.freedesktop.DBus.ObjectManager", member, signature, body)
        self._loop.call_soon_threadsafe(self._bus.send, signal)

    def _changed(self, properties: dict[str, Variant]) -> None:
        body = ["org.bluez.Adapter1", properties, []]
        signal = Message.new_signal(ADAPTER, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body)
        self._loop.call_soon_threadsafe(self._bus.send, signal)

    def _set(self, message: Message) -> Message:
        interface, name, value = message.body
        assert (interface, name) == ("org.bluez.Adapter1", "Powered")
        self.calls.append(f"Powered={value.value}")
        if self.refuses_power and value.value:
            self.refuses_power -= 1
            return Message.new_error(message, "org.bluez.Error.Busy", "")
        self.hung = self.hung and value.value is True and self.powered
        self.switch(on=value.value)
        return Message.new_method_return(message)

    def _do(self, coroutine: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine(), self._loop).result(20)

    async def _connect(self) -> MessageBus:
        bus = await MessageBus(self._address, BusType.SYSTEM).connect()
        bus.add_message_handler(self._answer)
        await bus.request_name("org.bluez")
        return bus

    def _answer(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL or message.member is None:
            return None
        if message.member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects()])
        if message.path != ADAPTER or not self.adapter:
            return None
        if message.member == "Set":
            return self._set(message)
        known = {"SetDiscoveryFilter", "StartDiscovery", "StopDiscovery"}
        if self.monitors:
            known |= {"RegisterMonitor", "UnregisterMonitor"}
        if message.member not in known:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "no such method")
        if message.member == "SetDiscoveryFilter":
            self.filters.append(message.body[0])
        self.calls.append(message.member)
        return Message.new_method_return(message)

    def _objects(self) -> dict[str, Any]:
        if not self.adapter:
            return {}
        properties = {
            "Address": Variant("s", "00:11:22:33:44:55"),
            "Powered": Variant("b", self.powered),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        return {ADAPTER: {"org.bluez.Adapter1": properties}}

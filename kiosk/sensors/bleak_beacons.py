"""A Bluetooth adapter as a beacon scanner, through bleak in a thread with an event loop of its own.

Passive scanning first: it sends nothing and works beside connections, but needs BlueZ 5.56 with advertisement monitors,
whose patterns only trigger. Where that is refused or stays silent, active scanning takes its place. Where that stays
silent too, the adapter is switched off and on again. An adapter that is unplugged is missed within seconds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from evidence.status import Part
from kiosk.sensors.advertisement import ALTBEACON, APPLE, IBEACON, Advertisement
from kiosk.sensors.beacons import STALE_AFTER_US
from kiosk.sensors.bluez_adapter import check_adapter, first_adapter, reset_adapter
from kiosk.sensors.errors import AdapterGone, ScannerFailed

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

RESTART_AFTER_S = STALE_AFTER_US / 1e6  # without any advertisement: adapters fall silent after days
RETRY_AFTER_S = 5.0  # an adapter that is switched on or plugged in again is found within this
LOOK_AFTER_S = 4.0  # of silence, and then again and again: is the adapter still there
SILENT_SCANS = 2  # one of each mode without a single advertisement: the adapter hangs
OPEN_TIMEOUT_S = 15.0  # D-Bus calls to a hung bluetoothd never return
CLOSE_TIMEOUT_S = 5.0
LONGEST_QUEUE = 2000  # advertisements waiting; a crowd of phones sends hundreds a second

Mode = Literal["passive", "active"]


class BleakBeacons:
    """Scans with `adapter` (`hci0`; None: the default one) until it is stopped, whatever the adapter does."""

    def __init__(
        self,
        adapter: str | None = None,
        *,
        restart_after_s: float = RESTART_AFTER_S,
        retry_after_s: float = RETRY_AFTER_S,
        look_after_s: float = LOOK_AFTER_S,
    ) -> None:
        self._adapter = adapter
        self._restart_after_s = restart_after_s
        self._retry_after_s = retry_after_s
        self._look_after_s = look_after_s
        self._callback: Callable[[Advertisement], None] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._state = Part(state="unknown", reason="no_scanner: The scanner is not running.")
        self.dropped = 0  # advertisements that found the queue full
        self.restarts = 0  # scans ended by the watchdog
        self.resets = 0  # times that the adapter was switched off and on again

    def start(self, callback: Callable[[Advertisement], None]) -> None:
        """Begin to scan; returns at once. `callback` is called in the scanner's thread."""
        if self._thread is not None:
            raise RuntimeError("This scanner runs already: make a new BleakBeacons to run it again.")
        self._callback = callback
        self._state = Part(state="unknown", reason="no_scanner: The scanner is being started.")
        self._thread = threading.Thread(target=self._run, name="beacons", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the scan; a hung bluetoothd is left behind after a few seconds."""
        self._stopped.set()
        if self._thread is None:
            return
        self._ready.wait(CLOSE_TIMEOUT_S)
        if self._loop is not None and self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(2 * CLOSE_TIMEOUT_S)
        self._state = Part(state="unknown", reason="no_scanner: The scanner is not running.")

    @property
    def state(self) -> Part:
        """`working` while it scans, `absent` without Bluetooth, `failed` where the adapter refuses."""
        return self._state

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except Exception as error:  # a scanner that dies says so; punches go on without it
            self._state = _no_scanner("failed", error)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        mode: Mode = "passive"
        silent_scans = 0
        while not self._stopped.is_set():
            try:
                name = self._adapter or await _first()
                heard = await self._scan(mode, name)
                self.restarts += 1
                silent_scans = 1 if heard else silent_scans + 1
                mode = _other(mode)
                if silent_scans >= SILENT_SCANS and name is not None:
                    silent_scans = 0
                    await self._reset(name)
            except Exception as error:  # bleak lets D-Bus, OS and assertion errors through
                self._state = _no_scanner("absent" if _is_absent(error) else "failed", error)
                passive_refused = mode == "passive" and self._state.state == "failed"
                mode = "active" if passive_refused else "passive"
                if not passive_refused:
                    await asyncio.sleep(self._retry_after_s)

    async def _reset(self, name: str) -> None:
        self._state = Part(state="degraded", reason="stale: The adapter hears nobody and is switched off and on again.")
        self.resets += 1
        await reset_adapter(name)

    async def _scan(self, mode: Mode, name: str | None) -> int:
        """Scan until nothing has come for `restart_after_s`; return how many advertisements had.

        Raises whatever bleak does, and ScannerFailed where the adapter is gone or off.
        """
        from bleak import BleakScanner

        queue: asyncio.Queue[Advertisement] = asyncio.Queue(LONGEST_QUEUE)

        def heard(device: BLEDevice, data: AdvertisementData) -> None:
            """Only queue: bleak's own loop waits for this."""
            try:
                queue.put_nowait(
                    Advertisement(
                        address=device.address,
                        rssi=data.rssi,
                        mono_us=time.monotonic_ns() // 1000,
                        manufacturer=dict(data.manufacturer_data),
                        services=dict(data.service_data),
                    )
                )
            except asyncio.QueueFull:
                self.dropped += 1

        scanner = BleakScanner(heard, None, mode, bluez=self._bluez(mode, name))
        try:
            await asyncio.wait_for(scanner.start(), OPEN_TIMEOUT_S)
            self._state = Part(state="working")
            return await self._listen(queue, name)
        finally:
            await _close(scanner)

    async def _listen(self, queue: asyncio.Queue[Advertisement], name: str | None) -> int:
        count, now = 0, asyncio.get_running_loop().time
        last_s = now()
        while (left_s := last_s + self._restart_after_s - now()) > 0:
            try:
                advertisement = await asyncio.wait_for(queue.get(), min(left_s, self._look_after_s))
            except TimeoutError:
                if name is not None:
                    await check_adapter(name)
                continue
            count, last_s = count + 1, now()
            if self._callback is not None and not self._stopped.is_set():
                self._callback(advertisement)
        return count

    def _bluez(self, mode: Mode, name: str | None) -> Any:
        from bleak.args.bluez import BlueZScannerArgs, OrPattern
        from bleak.assigned_numbers import AdvertisementDataType

        arguments = BlueZScannerArgs()
        if name is not None:
            arguments["adapter"] = name
        if mode == "passive":
            arguments["or_patterns"] = [
                OrPattern(0, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, APPLE.to_bytes(2, "little") + IBEACON),
                OrPattern(2, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, ALTBEACON),
                OrPattern(0, AdvertisementDataType.SERVICE_DATA_UUID16, b"\xaa\xfe"),
            ]
        return arguments


def _other(mode: Mode) -> Mode:
    return "active" if mode == "passive" else "passive"


async def _first() -> str | None:
    """The adapter to use; None where nobody can say, and bleak says why in its own words."""
    try:
        return await first_adapter()
    except (ScannerFailed, ImportError):
        return None


async def _close(scanner: Any) -> None:
    try:
        await asyncio.wait_for(scanner.stop(), CLOSE_TIMEOUT_S)
    except Exception:
        # The adapter is gone or bluetoothd hangs: there is nothing left to close, and the next scan says how it is.
        return


def _is_absent(error: Exception) -> bool:
    """No bleak, no D-Bus, no BlueZ or no adapter: nothing here that could be broken."""
    if isinstance(error, ImportError | FileNotFoundError | AdapterGone):
        return True
    from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError

    if isinstance(error, BleakDBusError):
        return error.dbus_error == "org.freedesktop.DBus.Error.ServiceUnknown"
    nothing_there = (
        BleakBluetoothNotAvailableReason.NO_BLUETOOTH,
        BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE,
    )
    return isinstance(error, BleakBluetoothNotAvailableError) and error.reason in nothing_there


def _no_scanner(state: Literal["absent", "failed"], error: Exception) -> Part:
    what = f"{type(error).__name__}: {error}"
    return Part(state=state, reason=f"no_scanner: No Bluetooth scan ({what}): check the adapter and bluetoothd."[:400])

"""What joining wrote: settings that lie under those of the operator's own file; an installer types none of them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evidence.provisioning import ClaimCode, Membership
from kiosk.durable_file import replace_file
from kiosk.errors import SettingsError
from kiosk.pinned_https import pin_of

JOINED_FILE = "joined.toml"


class Settings(Protocol):
    """What of a terminal's settings belongs to its membership (kiosk/settings.py)."""

    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def site(self) -> str: ...  # noqa: D102
    @property
    def site_title(self) -> str: ...  # noqa: D102
    @property
    def tz(self) -> str: ...  # noqa: D102
    @property
    def broker(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def collector_keys(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def ledger_key(self) -> str | None: ...  # noqa: D102
    @property
    def collector_url(self) -> str | None: ...  # noqa: D102
    @property
    def collector_pin(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Joined:
    """One terminal's membership."""

    device: str
    site: str
    site_title: str
    tz: str
    brokers: tuple[str, ...]
    receipt_key: str
    command_key: str
    collector_url: str
    collector_pin: str
    ledger_key: str | None = None  # vkey

    @classmethod
    def of(cls, code: ClaimCode, given: Membership) -> Joined:
        """Put together what the code said and the collector gave."""
        return cls(
            device=code.device,
            site=code.site,
            site_title=given.site_title,
            tz=given.tz,
            brokers=given.brokers,
            receipt_key=code.receipt,
            command_key=code.command,
            collector_url=code.url,
            collector_pin=code.pin,
            ledger_key=given.ledger,
        )

    def authority(self, folder: Path) -> str | None:
        """The authority's certificate, where it was kept whole; else it is fetched and held against the pin again."""
        try:
            kept = (folder / "authority.pem").read_text()
            return kept if pin_of(kept) == self.collector_pin else None
        except (OSError, ValueError):
            return None

    def write(self, folder: Path) -> Path:
        """Write the file in one step; return it. Raises OSError."""
        values: dict[str, Any] = {
            "device": self.device,
            "site": self.site,
            "site_title": self.site_title,
            "tz": self.tz,
            "broker": list(self.brokers),
            "broker_ca": str(folder / "authority.pem"),
            "broker_cert": str(folder / "transport.pem"),
            "broker_key": str(folder / "transport.key"),
            "collector_keys": [self.receipt_key, self.command_key],
            "collector_url": self.collector_url,
            "collector_pin": self.collector_pin,
        }
        if self.ledger_key is not None:
            values["ledger_key"] = self.ledger_key
        # JSON's strings and lists are TOML's too.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()]
        path = folder / JOINED_FILE
        comment = "# Written by `zaigang kiosk join`; your own settings file stands over it.\n"
        replace_file(path, (comment + "".join(lines)).encode())
        return path


def joined_of(settings: Settings) -> Joined | None:
    """Return the membership that a terminal's settings speak of; None where it has not joined by a code."""
    if settings.collector_url is None or settings.collector_pin is None or len(settings.collector_keys) != 2:
        return None
    return Joined(
        device=settings.device,
        site=settings.site,
        site_title=settings.site_title,
        tz=settings.tz,
        brokers=settings.broker,
        receipt_key=settings.collector_keys[0],
        command_key=settings.collector_keys[1],
        collector_url=settings.collector_url,
        collector_pin=settings.collector_pin,
        ledger_key=settings.ledger_key,
    )


def read_joined(folder: Path) -> dict[str, Any]:
    """Return the settings in the data folder; none where this terminal has not joined. Raises SettingsError."""
    path = folder / JOINED_FILE
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; the terminal's user has to own it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is damaged ({error}); join again") from error

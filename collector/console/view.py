"""What the console shows, as plain values: read from the services, compared to tell whether to draw again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from collector.console.texts import Texts
from collector.devices.live import DeviceState, Trouble
from collector.devices.service import DeviceView
from collector.punches.service import Filters, Order, PunchView
from collector.services import Services
from collector.timestamps import local_text, parse_utc

PUNCHES_SHOWN = 30  # a screen and a half; the API has the rest
TONES = {
    DeviceState.OPERATIONAL: "good",
    DeviceState.REDUCED: "warn",
    DeviceState.FAILED: "bad",
    DeviceState.INACTIVE: "off",
    DeviceState.DISCONNECTED: "bad",
}
VERDICT_TONES = {"verified": "good", "review": "warn", "refused": "bad"}


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong, what to do, and what the terminal itself said."""

    tone: str
    what: str
    do: str
    said: str


@dataclass(frozen=True, slots=True)
class DeviceCard:
    """One terminal."""

    name: str
    site: str
    state: str
    tone: str
    unsent: str
    last_seen: str
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class PunchRow:
    """One punch in the list."""

    id: int
    who: str
    code: str
    log: str
    date: str
    clock: str
    where: str
    device: str
    method: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    operational: int
    attention: int
    unsent: int
    dead_letters: int
    ledger_overdue: bool
    devices: tuple[DeviceCard, ...]
    punches: tuple[PunchRow, ...]


def overview(services: Services, texts: Texts) -> Overview:
    """Read the first page's values."""
    sites = {site.name: site.title for site in services.sites.all()}
    devices = services.devices.all()
    operational = sum(device.state is DeviceState.OPERATIONAL for device in devices)
    order = {DeviceState.FAILED: 0, DeviceState.DISCONNECTED: 1, DeviceState.INACTIVE: 2, DeviceState.REDUCED: 3}
    now = datetime.now(UTC)
    cards = [
        device_card(device, sites.get(device.site, device.site), texts, now)
        for device in sorted(devices, key=lambda one: (order.get(one.state, 9), one.name))
    ]
    page = services.punches.page(Filters(), Order.NEWEST, None, PUNCHES_SHOWN)
    return Overview(
        operational=operational,
        attention=len(devices) - operational,
        unsent=sum(device.unsent or 0 for device in devices),
        dead_letters=services.dead_letters.total(),
        ledger_overdue=services.standing.at(now).anything_overdue,
        devices=tuple(cards),
        punches=tuple(punch_row(view, sites, texts) for view in page.items),
    )


def device_card(device: DeviceView, site: str, texts: Texts, now: datetime) -> DeviceCard:
    """Put a device in words."""
    return DeviceCard(
        name=device.name,
        site=site,
        state=texts(f"state.{device.state}"),
        tone=TONES[device.state],
        unsent="—" if device.unsent is None else str(device.unsent),
        last_seen=ago(device.last_activity, texts, now),
        advice=tuple(_advice(device, texts)),
    )


def _advice(device: DeviceView, texts: Texts) -> list[Advice]:
    found = []
    if device.last_activity is None:
        found.append(Advice("off", "", texts("do.never"), ""))
    elif device.state in (DeviceState.INACTIVE, DeviceState.DISCONNECTED):
        found.append(Advice(TONES[device.state], "", texts(f"do.{device.state}"), ""))
    silent = bool(found)
    for trouble in device.troubles:
        if trouble.part is None:
            found.append(Advice("bad", "", texts(f"trouble.{trouble.code}"), ""))
        elif not silent:  # what a silent terminal once said of its parts is no news
            found.append(_part_advice(trouble, texts))
    return found


def _part_advice(trouble: Trouble, texts: Texts) -> Advice:
    part = str(trouble.part)
    name = texts.get(f"part.{part}", part)
    what = f"{name}: {texts.get(f'part.{trouble.state}', str(trouble.state))}"
    do = texts.get(f"part.do.{part}", texts("part.do.other"))
    return Advice("bad" if trouble.state == "failed" else "warn", what, do, trouble.reason)


def punch_row(view: PunchView, sites: dict[str, str], texts: Texts) -> PunchRow:
    """Put a punch in words."""
    punch = view.punch
    local = local_text(punch.time, punch.tz) or punch.time
    return PunchRow(
        id=punch.leaf_index,
        who=view.worker_name or punch.worker or texts("unknown_worker"),
        code=punch.worker or "" if view.worker_name else "",
        log=texts(f"log.{punch.log_type or 'none'}"),
        date=local[:10],
        clock=local[11:19],
        where=sites.get(punch.site, punch.site),
        device=punch.device,
        method=texts.get(f"method.{punch.method}", punch.method),
        verdict=texts(f"verdict.{punch.verdict}"),
        tone=VERDICT_TONES[punch.verdict],
    )


def ago(moment: str | None, texts: Texts, now: datetime) -> str:
    """Say how long ago a time is, coarsely."""
    if moment is None:
        return texts("never")
    minutes = int((now - parse_utc(moment)).total_seconds() // 60)
    if minutes < 1:
        return texts("just_now")
    if minutes < 60:
        return texts("minutes_ago", n=minutes)
    if minutes < 48 * 60:
        return texts("hours_ago", n=minutes // 60)
    return texts("days_ago", n=minutes // (24 * 60))

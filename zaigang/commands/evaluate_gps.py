"""`zaigang evaluate gps`: NMEA logs through the terminal's own decoder and tracker, and the verdict on each.

A log is judged by the time inside it. Its verdict is what the terminal would say at its end, except that a log which
was suspect anywhere is suspect: `suspect` wins.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from kiosk.sensors.gps import Fence, Place

CHUNK_BYTES = 65_536
HEADER = b"#"  # gpsd's recordings begin with such lines; a receiver never sends one


@dataclass(frozen=True, slots=True)
class Judged:
    """What one log comes to: lines = accepted_lines + rejected + ignored (headers).

    `latitude` and `longitude` are the median of the accepted fixes in degrees; None where no fix was accepted.
    """

    log: str
    verdict: str
    lines: int
    accepted_lines: int
    ignored: int
    rejected: dict[str, int]
    fixes_accepted: int
    latitude: float | None
    longitude: float | None
    flags: tuple[str, ...]


def command(
    logs: Annotated[list[Path], typer.Argument(help="NMEA logs.", exists=True, dir_okay=False, readable=True)],
    fence: Annotated[
        str | None, typer.Option(help="LAT,LON,RADIUS_M: the site as a circle, degrees and metres.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write one object a log as JSON.")] = None,
) -> None:
    """Judge GPS logs as the terminal would have judged the receiver."""
    circle = _fence(fence)
    judged = [judge_log(log, circle) for log in logs]
    Console().print(_table(judged))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(one) for one in judged], indent=1, ensure_ascii=False) + "\n")


def judge_log(log: Path, fence: Fence | None) -> Judged:
    """Judge one log against `fence` (None: no site given). Raises OSError; nothing that is in the log raises."""
    from kiosk.sensors.gps import FixTracker, median_place
    from kiosk.sensors.nmea import line_times

    tracker = FixTracker(fence)
    places: list[Place] = []
    flags: set[str] = set()
    suspect, ignored, judged_us = False, 0, None
    for line, now_us in line_times(_lines(log)):
        if now_us != judged_us:  # signs last for seconds: once for every moment of the log is enough
            reading = tracker.reading(now_us)
            flags.update(reading.flags)
            suspect = suspect or reading.verdict == "suspect"
            judged_us = now_us
        if line.startswith(HEADER):
            ignored += 1
            continue
        counted = tracker.counted
        tracker.feed(line, now_us)
        if tracker.counted > counted and tracker.latest_counted is not None:
            places.append(tracker.latest_counted)
    last = tracker.reading(judged_us or 0)
    middle = median_place(places) if places else None
    return Judged(
        log=log.name,
        verdict="suspect" if suspect else last.verdict,
        lines=tracker.lines + ignored,
        accepted_lines=tracker.accepted,
        ignored=ignored,
        rejected=dict(sorted(last.rejected.items())),
        fixes_accepted=tracker.counted,
        latitude=None if middle is None else round(middle.latitude, 7),
        longitude=None if middle is None else round(middle.longitude, 7),
        flags=tuple(sorted(flags.union(last.flags))),
    )


def _lines(log: Path) -> Iterator[bytes]:
    """Cut a log as the serial reader cuts its line; a last line without an end counts too."""
    from kiosk.sensors.nmea import LineSplitter

    splitter, last = LineSplitter(), b"\n"
    with log.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            last = chunk[-1:]
            yield from splitter.feed(chunk)
    if last != b"\n":
        yield from splitter.feed(b"\n")


def _fence(text: str | None) -> Fence | None:
    """Read LAT,LON,RADIUS_M. Raises typer.BadParameter."""
    from kiosk.sensors.gps import Fence

    if text is None:
        return None
    try:
        latitude, longitude, radius_m = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter("write LAT,LON,RADIUS_M, such as 31.2304,121.4737,80", param_hint="--fence") from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < radius_m < math.inf):
        raise typer.BadParameter(
            "latitude −90 to 90, longitude −180 to 180, radius above 0 metres", param_hint="--fence"
        )
    return Fence(round(latitude * 1e7), round(longitude * 1e7), max(1, round(radius_m)))


def _table(judged: list[Judged]) -> Table:
    """One row a log; the columns that must be read whole do not wrap on a terminal of 80 columns."""
    table = Table(title="Zaigang — GPS logs, judged as the terminal would", title_justify="left", box=SIMPLE)
    table.add_column("log", overflow="fold", ratio=2)
    table.add_column("verdict, flags", no_wrap=True)
    table.add_column("fixes", justify="right", no_wrap=True)
    table.add_column("median position", no_wrap=True)
    table.add_column("lines rejected", overflow="fold", ratio=2)
    for one in judged:
        placed = one.latitude is not None and one.longitude is not None
        reasons = "".join(f"\n{reason} {count}" for reason, count in one.rejected.items())
        table.add_row(
            one.log,
            "\n".join((one.verdict, *one.flags)),
            str(one.fixes_accepted),
            f"{one.latitude:.5f}, {one.longitude:.5f}" if placed else "—",
            f"{sum(one.rejected.values())} of {one.lines - one.ignored}{reasons}",
        )
    return table

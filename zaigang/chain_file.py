"""A chain on disk: JSON lines, one envelope a line, as the collector exports it; read and checked in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from evidence.chain import ChainCheck
from evidence.envelope import MAX_ENVELOPE_BYTES

MAX_FINDINGS = 100  # shown a file; the rest is counted
_SKIP_BYTES = 1 << 20  # how much of an over-long line is thrown away at a time
_NOT_AN_ENVELOPE = frozenset(
    {"encoding", "not_json", "duplicate_key", "not_canonical", "too_large", "invalid_envelope"}
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line feed; an over-long one is cut just beyond what an envelope may have."""

    number: int  # from 1
    data: bytes
    read_bytes: int  # of the file so far, this line included
    ended: bool  # False for a last line without a line feed


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    line: int | None
    seq: int | None
    code: str
    message: str


@dataclass(slots=True)
class ChainFile:
    """What checking one file found."""

    name: str
    check: ChainCheck
    lines: int = 0
    envelopes: int = 0  # lines that could at least be read as an envelope
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    unreadable: str | None = None  # why the file is no chain at all

    @property
    def ok(self) -> bool:
        """True if the whole file holds."""
        return self.unreadable is None and self.check.report.events > 0 and not self.findings

    def take(self, line: Line) -> None:
        """Check one line."""
        self.lines += 1
        problem = self.check.feed(line.data)
        if problem is None:
            self.envelopes += 1
            return
        message = problem.message
        if problem.code not in _NOT_AN_ENVELOPE:
            self.envelopes += 1
        elif not line.ended and len(line.data) <= MAX_ENVELOPE_BYTES:
            message = f"the file ends in the middle of this line, {len(line.data)} bytes into it; {message}"
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(line.number, problem.seq, problem.code, message))
        else:
            self.more_findings += 1


def check_file(path: Path, check: ChainCheck, progress: Callable[[int], None]) -> ChainFile:
    """Check a whole file and name what is wrong in it; `progress` is told from time to time how many bytes are done."""
    result = ChainFile(str(path), check)
    try:
        with path.open("rb") as file:
            for line in read_lines(file):
                result.take(line)
                if line.number % 256 == 0:
                    progress(line.read_bytes)
    except OSError as error:
        result.unreadable = f"the file cannot be read: {error.strerror}"
        return result
    if result.lines == 0:
        result.unreadable = "the file is empty: there is no event to check"
    elif result.envelopes == 0:
        result.unreadable = "no line of the file is an envelope; a chain file has one envelope a line"
    return result


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a chain file. Raises OSError."""
    number = read_bytes = 0
    limit = MAX_ENVELOPE_BYTES + 2  # a line feed, and one byte too many still shows
    while data := file.readline(limit):
        number += 1
        read_bytes += len(data)
        ended = data.endswith(b"\n")
        if not ended and len(data) == limit:
            while rest := file.readline(_SKIP_BYTES):
                read_bytes += len(rest)
                if rest.endswith(b"\n"):
                    ended = True
                    break
        yield Line(number, data.removesuffix(b"\n"), read_bytes, ended)

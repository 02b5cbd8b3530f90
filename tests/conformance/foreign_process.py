"""The foreign terminal as a running process, which is told things and says things a line at a time."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.conformance.foreign import Abroad

WAIT_S = 120  # a gap is asked for twenty seconds after it opened, at the next round of thirty


@dataclass
class Foreign:
    """A Perl script as a process: orders in, lines out."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str] = field(default_factory=queue.Queue)
    said: list[str] = field(default_factory=list)

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("over")

    def order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait_for(self, *beginnings: str) -> list[str]:
        """Read on until a line has begun with each of these, in whatever order; return what follows each beginning."""
        found: dict[str, str] = {}
        while len(found) < len(beginnings):
            line = self.lines.get(timeout=WAIT_S)
            self.said.append(line)
            refused = line.startswith("refused") and not any(one.startswith("refused") for one in beginnings)
            assert not refused and line != "over", self.said
            found |= {one: line.removeprefix(one) for one in beginnings if one not in found and line.startswith(one)}
        return [found[one] for one in beginnings]

    def wait_for_receipt(self, upto: int) -> int:
        """Read on until a receipt covers `upto`; return the ledger's size in it."""
        while True:
            covered, tree_size = map(int, self.wait_for("receipt ")[0].split())
            if covered >= upto:
                return tree_size


@contextlib.contextmanager
def foreign_process(abroad: Abroad, script: str, *arguments: str) -> Iterator[Foreign]:
    """Run a script until the end of the block."""
    process = subprocess.Popen(
        abroad.command(script, *arguments),
        cwd=abroad.folder,
        env=abroad.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    foreign = Foreign(process)
    reader = threading.Thread(target=foreign.listen)
    reader.start()
    try:
        yield foreign
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)

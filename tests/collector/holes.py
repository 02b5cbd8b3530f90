"""What the tests of bundles over the collector's own statements share."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from collector.evidence_bundles.service import Made
from collector.ingest.intake import Intake
from collector.people.service import NewWorker, WorkerBody
from collector.services import build_services
from collector.statements.actor import acting_as
from collector.statements.models import DeclaredGap
from collector.statements.scribe import Scribe
from evidence.bundle import verify_bundle
from evidence.bundle_index import Line
from evidence.bundle_report import Report
from evidence.events import Kind
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import POLICY, POLICY_HASH, WORKER, punch
from zaigang.verifiers import write_verifiers

OTHER = WORKER.model_copy(update={"worker": "E002"})


def swear(bench: Bench) -> Bench:
    """Let services and intake state what happens, as the programs' do, with some of it already stated."""
    scribe = Scribe(bench.keys)
    bench.services = build_services(bench.settings, bench.database, bench.keys, scribe)
    bench.intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, scribe=scribe)
    if bench.services.people.names({"E002"}):
        return bench
    with acting_as("cli:li"):
        bench.services.people.add(NewWorker(code="E002", name="李四"))
        bench.services.people.change("E001", WorkerBody(name="王大明"))
        bench.services.people.change("E002", WorkerBody(name="李思"))
    return bench


def erase(bench: Bench, worker: str = "E001") -> Any:
    with acting_as("cli:li"):
        return bench.services.erasures.erase(worker, "all", "asked for", ignore_retention=True)


def with_a_gap(bench: Bench, terminal: Terminal, *, admit: bool = True) -> DeclaredGap:
    """A day in which seq 3 and 4 are lost and given up; without `admit` what waits behind them waits on."""
    opened = [terminal.enrol(), terminal.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})]
    terminal.time_s = 3600
    came = punch(terminal, "E001")
    punch(terminal, "E001", "OUT")
    punch(terminal, "E002")
    bench.offer(terminal, *opened, came)
    bench.offer(terminal, punch(terminal, "E002", "OUT"))
    with acting_as("cli:li"):
        gap = bench.services.statements.declare_gap("gate-1", terminal.chain, 4, "the card was bent", None)
    if not admit:
        return gap
    bench.intake.admit_ready()
    bench.offer(terminal, punch(terminal, "E001", "OUT"))
    return gap


def lines(report: Report, device: str = "gate-1") -> list[Line]:
    (found,) = [one for (name, _), one in report.chains.items() if name == device]
    return found.lines


def seqs(report: Report, kind: type[Line], device: str = "gate-1") -> list[tuple[int, int]]:
    return [(one.seq, one.last) for one in lines(report, device) if isinstance(one, kind)]


def good(made_: tuple[Made, Report]) -> Report:
    assert made_[1].ok, [str(one) for one in made_[1].problems]
    assert made_[0].facts.problems == ()
    return made_[1]


def by_every_verifier(data: bytes, bench: Bench, folder: Path, browser: Any) -> None:
    """The shell script and the page come to the same as `verify_bundle`: everything holds."""
    assert said_by_every_verifier(data, bench, folder, browser) == [set(), set(), set()]


def said_by_every_verifier(data: bytes, bench: Bench, folder: Path, browser: Any) -> list[set[str]]:
    """The codes of what is wrong, as `verify_bundle`, the shell script and the page name it."""
    write_verifiers(folder)
    bundle, trust = folder / "evidence.zip", folder / "trust.json"
    bundle.write_bytes(data)
    trusted = bench.services.evidence_bundles.trust()
    trust.write_text(trusted.model_dump_json(exclude_none=True))
    report = verify_bundle(data, trusted)
    script = ["sh", str(folder / "verify-bundle.sh"), str(bundle), str(trust)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    said = set(re.findall(r"^\[([a-z_]+)\]", done.stdout, re.MULTILINE))
    assert done.stderr == "" and (done.returncode == 1) == bool(said), done.stdout
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((folder / "verify-bundle.html").as_uri())
    page.set_input_files("#trust", trust)
    page.set_input_files("#bundle", bundle)
    page.click("#go")
    page.wait_for_selector("#verdict:not(:empty)", timeout=30_000)
    shown = page.evaluate("window.zaigangReport")
    context.close()
    assert shown["ok"] == (not shown["problems"])
    return [{one.code for one in report.problems}, said, {one["code"] for one in shown["problems"]}]

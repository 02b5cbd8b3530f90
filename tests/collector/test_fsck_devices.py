"""`fsck` holds revocations and approved chains against what the collector stated: no UPDATE by hand undoes one."""

from __future__ import annotations

import pytest

from collector.ledger.leaves import seal
from collector.statements.actor import acting_as
from collector.statements.scribe import Scribe
from tests.collector.conftest import Bench
from tests.collector.holes import swear
from tests.collector.terminal import Terminal
from tests.collector.test_fsck import check, edit, stored

pytestmark = pytest.mark.both_databases


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    """A bench that states what happens, with two terminals and a punch at one of them."""
    swear(bench)
    bench.register(Terminal("gate-2"))
    terminal.time_s = 100
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    return bench


def revoke(bench: Bench, device: str = "gate-1") -> int:
    """Revoke it; return the place of the statement."""
    with acting_as("cli:li"):
        bench.services.devices.revoke(device)
    return bench.services.statements.page("device.revoked", None, 1)[0].leaf_index


def difference(bench: Bench) -> tuple[str, str, str]:
    found = check(bench).difference
    assert found is not None
    return found.table, found.row, found.column


def let_in(bench: Bench, terminal: Terminal) -> Terminal:
    """A second chain of the same terminal that an administrator lets in."""
    again = terminal.again()
    bench.offer(again, again.enrol(), again.punch())
    with acting_as("cli:li"):
        bench.services.devices.approve(again.device, again.chain, "cli:li")
    bench.intake.admit_ready()
    return again


def test_what_was_revoked_and_approved_as_stated_is_whole(sworn: Bench, terminal: Terminal) -> None:
    later = terminal.again()
    let_in(sworn, terminal)
    sworn.offer(later, later.enrol(), later.punch())
    revoke(sworn)
    sworn.offer(terminal, terminal.punch())
    with acting_as("cli:li"):  # it waited at the revocation: it enters marked
        sworn.services.devices.approve("gate-1", later.chain, "cli:li")
    sworn.intake.admit_ready()
    assert sworn.seqs(later) == 2 and check(sworn).difference is None


def test_a_revocation_undone_by_hand_is_found_at_once(sworn: Bench) -> None:
    place = revoke(sworn)
    edit(sworn, "UPDATE devices SET revoked_at = NULL WHERE name = 'gate-1'")
    found = check(sworn).difference
    assert found is not None and (found.table, found.row, found.column) == ("devices", "gate-1", "revoked_at")
    assert f"ledger entry {place} states that gate-1 is revoked" in found.message and "undone" in found.message


def test_what_entered_while_a_revocation_was_undone_is_found_also_when_the_column_is_put_back(
    sworn: Bench, terminal: Terminal
) -> None:
    revoke(sworn)
    at = stored(sworn, "SELECT revoked_at FROM devices WHERE name = 'gate-1'")
    edit(sworn, "UPDATE devices SET revoked_at = NULL WHERE name = 'gate-1'")
    sworn.offer(terminal, terminal.punch())
    edit(sworn, "UPDATE devices SET revoked_at = ? WHERE name = 'gate-1'", at)
    place = str(sworn.services.ledger.size() - 1)
    assert difference(sworn) == ("ledger_entries", place, "after_revocation")


@pytest.mark.parametrize("at", ["2026-01-01T00:00:00.000Z", "2036-01-01T00:00:00.000Z", "some day"])
def test_a_revocation_at_another_time_is_found(sworn: Bench, at: str) -> None:
    revoke(sworn)
    edit(sworn, "UPDATE devices SET revoked_at = ? WHERE name = 'gate-1'", at)
    assert difference(sworn) == ("devices", "gate-1", "revoked_at")


def test_a_revocation_that_was_never_stated_is_found(sworn: Bench, terminal: Terminal) -> None:
    edit(sworn, "UPDATE devices SET revoked_at = '2026-11-22T00:00:00.000Z' WHERE name = 'gate-1'")
    assert difference(sworn) == ("devices", "gate-1", "revoked_at")
    sworn.offer(terminal, terminal.punch())
    edit(sworn, "UPDATE devices SET revoked_at = NULL WHERE name = 'gate-1'")
    place = sworn.services.ledger.size() - 1
    assert difference(sworn) == ("ledger_entries", str(place), "after_revocation")
    revoke(sworn)
    assert difference(sworn) == ("ledger_entries", str(place), "after_revocation")


def test_a_revoked_terminal_without_its_row_is_found(sworn: Bench) -> None:
    revoke(sworn, "gate-2")
    edit(sworn, "DELETE FROM devices WHERE name = 'gate-2'")
    assert difference(sworn) == ("devices", "gate-2", "name")


def test_a_mark_taken_away_with_the_seal_key_is_found(sworn: Bench, terminal: Terminal) -> None:
    revoke(sworn)
    sworn.offer(terminal, terminal.presence())
    entry = sworn.services.ledger.entry(sworn.services.ledger.size() - 1)
    sealed = seal(
        sworn.keys.seal, entry.leaf_index, entry.leaf_hash, entry.received_at, entry.key_id, after_revocation=False
    )
    plain = "UPDATE ledger_entries SET seal = ?, after_revocation = ? WHERE leaf_index = ?"
    edit(sworn, plain, sealed, False, entry.leaf_index)
    assert difference(sworn) == ("ledger_entries", str(entry.leaf_index), "after_revocation")


def test_a_chain_that_was_let_in_by_hand_is_found(sworn: Bench, terminal: Terminal) -> None:
    again = terminal.again()
    sworn.offer(again, again.enrol(), again.punch())
    assert check(sworn).difference is None
    edit(sworn, "UPDATE chains SET state = 'open' WHERE chain = ?", again.chain)
    assert difference(sworn) == ("chains", f"gate-1/{again.chain}", "state")
    sworn.intake.admit_ready()
    edit(sworn, "UPDATE chains SET state = 'pending' WHERE chain = ?", again.chain)
    assert sworn.seqs(again) == 2
    assert difference(sworn) == ("chains", f"gate-1/{again.chain}", "state")


def test_a_chain_that_was_approved_only_after_it_had_been_let_in_by_hand_is_found(
    sworn: Bench, terminal: Terminal
) -> None:
    again = terminal.again()
    sworn.offer(again, again.enrol(), again.punch())
    edit(sworn, "UPDATE chains SET state = 'open' WHERE chain = ?", again.chain)
    sworn.intake.admit_ready()
    edit(sworn, "UPDATE chains SET state = 'pending' WHERE chain = ?", again.chain)
    begun = sworn.services.ledger.size() - 2
    with acting_as("cli:li"):
        sworn.services.devices.approve("gate-1", again.chain, "cli:li")
    assert difference(sworn) == ("ledger_entries", str(begun), "chain")


def test_a_revocation_stated_from_an_older_entry_on_is_found(sworn: Bench) -> None:
    with sworn.database.write() as session:
        Scribe(sworn.keys).state(session, "device.revoked", {"device": "gate-1", "from_index": 0, "by": "cli:li"})
    place = stored(sworn, "SELECT max(leaf_index) FROM ledger_entries WHERE device = 'gate-1'")
    assert difference(sworn) == ("ledger_entries", str(place), "after_revocation")


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("UPDATE chains SET approved_by = NULL WHERE chain = ?", "approved_by"),
        ("UPDATE chains SET approved_by = 'cli:wang' WHERE chain = ?", "approved_by"),
        ("UPDATE chains SET approved_by = 'cli:li' WHERE chain <> ?", "approved_by"),
        ("UPDATE chains SET state = 'pending' WHERE chain = ?", "state"),
    ],
)
def test_an_approval_that_is_not_as_it_was_stated_is_found(
    sworn: Bench, terminal: Terminal, sql: str, column: str
) -> None:
    again = let_in(sworn, terminal)
    assert check(sworn).difference is None
    edit(sworn, sql, again.chain)
    chain = terminal.chain if "<>" in sql else again.chain
    assert difference(sworn) == ("chains", f"gate-1/{chain}", column)


def test_a_collector_without_a_chain_of_its_own_is_held_to_no_statement(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    bench.services.devices.revoke("gate-1")
    bench.offer(terminal, terminal.punch())
    assert check(bench).difference is None

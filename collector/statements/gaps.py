"""Closing a gap for good: the rule when an administrator may, and how the chain goes on. The rule is pure."""

from __future__ import annotations

from collector.errors import Conflict
from collector.ledger.models import Chain, ChainState
from evidence.chain import Head


def require_gap(chain: Chain, last: int) -> int:
    """Return the first missing seq of an open chain. Raises Conflict where `last` does not lie behind its head."""
    if chain.state != ChainState.OPEN:
        raise Conflict(f"chain {chain.chain} of {chain.device} is {chain.state}, nothing continues it")
    if chain.head_seq is None:
        raise Conflict("a chain begins with its first event; without it nothing says which key it belongs to")
    if last <= chain.head_seq:
        raise Conflict(f"the ledger holds events up to {chain.head_seq}; a gap lies behind that")
    return chain.head_seq + 1


def bridged(head: Head, last: int, next_prev: str) -> Head:
    """Return the head of a chain behind a declared gap: the next event must name `next_prev`."""
    return Head(head.device, head.chain, last, next_prev, head.boot, head.mono_us)

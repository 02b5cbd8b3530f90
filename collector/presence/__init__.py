"""Presence by badge, derived from ledger entries: when a terminal heard a badge, and when it could not."""

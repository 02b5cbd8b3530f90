"""Punches as HR asks for them, derived from ledger entries."""

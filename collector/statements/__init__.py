"""The collector under oath: what it says itself in the ledger, signed, in a chain of its own."""

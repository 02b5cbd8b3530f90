"""Erasing a person from the ledger: payloads, nonces and salts go, tombstones stay, every proof stands."""

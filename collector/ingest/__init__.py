"""From the broker to the ledger: subscriber, intake, staging, dead letters."""

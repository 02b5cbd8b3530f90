"""A witness: remembers the newest checkpoint of each ledger and cosigns only what grows out of it.

Runs at somebody else's than the operator's: a works council, an auditor. Knows `evidence` and nothing of the collector.
"""

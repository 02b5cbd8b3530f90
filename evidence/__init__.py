"""What both ends say and anyone can check.

Pure: no clock, no disk, no network. The terminal signs with it, the collector admits with it, and an
arbitrator who trusts neither verifies with it.
"""

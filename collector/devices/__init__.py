"""Terminals: registration, keys, live status."""

"""Signed orders to terminals: numbered, sent until they are answered or have ended, and what came of each."""

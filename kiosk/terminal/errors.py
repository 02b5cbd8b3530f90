"""What can go wrong with the screen itself, by name."""

from __future__ import annotations


class TerminalError(Exception):
    """Base of the screen's errors."""


class NotLoopback(TerminalError):
    """The screen was asked to listen beyond this machine."""


class PortTaken(TerminalError):
    """Another program listens where the screen should."""


class StartFailed(TerminalError):
    """The screen's server did not come up."""

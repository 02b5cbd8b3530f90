"""The error tree of the witness: each error has the HTTP status that C2SP tlog-witness gives it."""

from __future__ import annotations


class WitnessError(Exception):
    """Base of everything that the witness refuses."""

    status = 400


class BadRequest(WitnessError):
    """The request cannot be read."""

    status = 400


class UnknownLog(WitnessError):
    """The witness does not know a ledger of this origin."""

    status = 404


class NotSigned(WitnessError):
    """No key that the witness trusts for this ledger has signed the checkpoint."""

    status = 403


class Stale(WitnessError):
    """The request starts from another size than the witness remembers."""

    status = 409

    def __init__(self, size: int) -> None:
        super().__init__(f"the newest checkpoint that was cosigned here has size {size}")
        self.size = size


class Split(WitnessError):
    """Two checkpoints of one size have different roots: the ledger shows two histories."""

    status = 409

    def __init__(self, size: int) -> None:
        super().__init__(f"another checkpoint of size {size} was cosigned here: the ledger shows two histories")
        self.size = size


class Inconsistent(WitnessError):
    """The proof does not show that the ledger has only grown."""

    status = 422


class WitnessSettingsError(WitnessError):
    """The witness's settings or files cannot be used."""

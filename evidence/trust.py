"""Whom the reader of a bundle trusts. It comes from outside the bundle: from paper, from provisioning, from a union.

Format (JSON; docs/spec/bundle.md): `origin` of the ledger, `checkpoint_keys` as C2SP verifier keys,
`collector.receipt` (one key or several), and, as the reader likes, `devices` (keys pinned), `witnesses` with `quorum`,
`tsa` (certificates in PEM), `checkpoints` (signed notes that the reader kept from before), `handovers` (envelopes in
which the collector's keys were replaced, each signed by both; key_history.py says what follows from them).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from evidence.canonical import canonical
from evidence.checkpoint import WitnessPolicy
from evidence.errors import EvidenceError, InvalidKey
from evidence.events import Name
from evidence.handover import KeyHandover, parse_handover
from evidence.key_history import CountingKey, LogKey, keys_over_time, log_keys
from evidence.keys import PublicKey
from evidence.note import SignatureType, VerifierKey
from evidence.statements import COLLECTOR


def _readable(text: str) -> str:
    try:
        PublicKey.parse(text)
    except InvalidKey as error:
        raise ValueError(str(error)) from error
    return text


def _verifier(text: str) -> str:
    try:
        VerifierKey.parse(text)
    except InvalidKey as error:
        raise ValueError(str(error)) from error
    return text


def _signed_by_both(envelope: dict[str, Any]) -> dict[str, Any]:
    try:
        parse_handover(canonical(envelope))
    except EvidenceError as error:
        raise ValueError(f"this handover does not stand: {error}") from error
    return envelope


HandoverObject = Annotated[dict[str, Any], AfterValidator(_signed_by_both)]  # an envelope as a JSON object
KeyText = Annotated[str, AfterValidator(_readable)]
VerifierKeyText = Annotated[str, AfterValidator(_verifier)]
Origin = Annotated[str, Field(pattern=r"^[^\s+]{1,200}$")]


def public_keys(texts: str | list[str]) -> list[PublicKey]:
    """Read one key or several, as a trust file names them. Raises InvalidKey."""
    return [PublicKey.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CollectorTrust(_Strict):
    """The collector's keys by purpose."""

    receipt: KeyText | Annotated[list[KeyText], Field(min_length=1)]
    command: KeyText | None = None  # as `zaigang collector keys` prints it; no bundle needs it


class WitnessTrust(_Strict):
    """Who must have seen a checkpoint: at least `quorum` of `keys` cosigned the last one."""

    keys: Annotated[list[VerifierKeyText], Field(min_length=1)]
    quorum: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _within_reach(self) -> WitnessTrust:
        try:
            WitnessPolicy(tuple(map(VerifierKey.parse, self.keys)), self.quorum)
        except InvalidKey as error:
            raise ValueError(str(error)) from error
        return self


class BundleTrust(_Strict):
    """What a reader holds against a bundle."""

    origin: Origin
    checkpoint_keys: Annotated[list[VerifierKeyText], Field(min_length=1)]
    collector: CollectorTrust
    devices: dict[Name, Annotated[list[KeyText], Field(min_length=1)]] = {}
    witnesses: WitnessTrust | None = None
    tsa: list[str] = []  # PEM certificates; with one of them every bundle must carry a token that stands
    checkpoints: list[str] = []  # signed notes; the bundle must be a later state of the very same ledger
    handovers: list[HandoverObject] = []

    @model_validator(mode="after")
    def _one_history(self) -> BundleTrust:
        try:
            self.receipt_keys(), self.command_keys(), self.log_keys(), self.statement_keys()
        except EvidenceError as error:
            raise ValueError(f"handovers: {error}") from error
        return self

    @model_validator(mode="after")
    def _apart(self) -> BundleTrust:
        logs = [VerifierKey.parse(text) for text in self.checkpoint_keys]
        if any(one.type is not SignatureType.ED25519 for one in logs):
            raise ValueError("checkpoint_keys: the log's vkey is of type 1 (Ed25519)")
        watching = [] if self.witnesses is None else [VerifierKey.parse(text).key for text in self.witnesses.keys]
        if any(one.key in watching for one in logs):
            raise ValueError("witnesses: the log cannot be its own witness")
        return self

    def receipt_keys(self) -> tuple[CountingKey, ...]:
        """The keys that may have signed seals and receipts, and up to where."""
        return keys_over_time("receipt", public_keys(self.collector.receipt), self._handovers())

    def command_keys(self) -> tuple[CountingKey, ...]:
        """The keys that may have signed commands; none where the reader knows none."""
        named = [] if self.collector.command is None else [PublicKey.parse(self.collector.command)]
        return keys_over_time("command", named, self._handovers())

    def log_keys(self) -> tuple[LogKey, ...]:
        """The keys that may have signed checkpoints, and up to where."""
        return log_keys([VerifierKey.parse(text) for text in self.checkpoint_keys], self._handovers())

    def statement_keys(self) -> tuple[CountingKey, ...]:
        """The keys that may have signed the collector's own chain, and up to where; none where the reader pins none."""
        pinned = [PublicKey.parse(text) for text in self.devices.get(COLLECTOR, [])]
        return keys_over_time("statement", pinned, self._handovers())

    def _handovers(self) -> list[KeyHandover]:
        return [parse_handover(canonical(one)) for one in self.handovers]

    def pinned(self, device: str) -> tuple[PublicKey, ...] | None:
        """The keys that the reader knows for this device; None: he knows none."""
        texts = self.devices.get(device)
        if texts is not None and device == COLLECTOR:
            return tuple(one.key for one in self.statement_keys())
        return None if texts is None else tuple(PublicKey.parse(text) for text in texts)

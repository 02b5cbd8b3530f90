"""Others' words for the checkpoints, as the settings want them: the threads that ask for these."""

from __future__ import annotations

from collector.database import Database
from collector.ledger.anchors import Anchors, load_roots
from collector.ledger.feeder import Feeder, WitnessAt
from collector.rounds import Rounds
from collector.settings import Settings
from evidence.note import VerifierKey


def attesting(settings: Settings, database: Database) -> list[Rounds]:
    """Return the rounds to start; none where nobody is configured. Raises SettingsError."""
    found = []
    if settings.witnesses:
        witnesses = [WitnessAt(VerifierKey.parse(one.key), one.url) for one in settings.witnesses]
        found.append(Rounds("witnesses", settings.checkpoint_every_s, Feeder(database, witnesses).feed))
    if settings.tsa_url is not None:
        anchors = Anchors(database, settings.tsa_url, load_roots(settings.tsa_ca))
        found.append(Rounds("time-stamps", settings.anchor_every_s, anchors.anchor))
    return found

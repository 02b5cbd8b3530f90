"""The composition root: settings in, running threads and an HTTP application out."""

from __future__ import annotations

import gc
import signal
from collections.abc import Mapping

import uvicorn
from fastapi import FastAPI

from collector.auth.sessions import Sessions
from collector.devices.certificate_ends import ending
from collector.devices.server_tls import server_tls
from collector.healthz import Health, health_of
from collector.identity import load_or_create_keys
from collector.ingest.gaps import Gaps
from collector.ingest.intake import Intake
from collector.ingest.leader_election import EVERY_S, LeaderElection
from collector.ingest.message import Message
from collector.ingest.opening import Opener, Opens
from collector.ingest.opening_process import ProcessOpener
from collector.ingest.pump import Pump
from collector.ingest.subscriber import Subscriber
from collector.ledger.attesting import attesting
from collector.ledger.showing import Showing
from collector.rounds import Rounds
from collector.services import build_services, limits_of, open_database
from collector.settings import Settings
from collector.statements.rotation import Handovers, finish
from collector.statements.scribe import Scribe
from collector.web import create_api


class Collector:
    """Everything that runs in one collector process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = open_database(settings)
        if settings.keys_path.is_dir():
            finish(self.database, settings.keys_path)
        self.keys = load_or_create_keys(settings.keys_path)
        scribe = Scribe(self.keys)
        scribe.require_same_keys(self.database)
        self.services = build_services(settings, self.database, self.keys, scribe)
        self.services.erasures.settle()
        limits, self.opener = limits_of(settings), _opener(settings)
        intake = Intake(self.database, self.keys.receipt, self.keys.seal, limits, scribe=scribe, opener=self.opener)
        lock = None if settings.mqtt_share is None else self.database.leader_lock()
        self.subscriber = Subscriber(settings, self._deliver, takes_events=lock is None)
        self.checkpointer = Rounds("checkpoints", settings.checkpoint_every_s, self.services.checkpoints.sign)
        self.attesting = attesting(settings, self.database)
        self.rounds = [self.checkpointer, *self.attesting]
        commands, handovers = self.services.commands, Handovers(self.database)
        transfers = self.services.transfers
        gaps = Gaps(self.database, self.keys.receipt)
        showing = Showing(self.database, self.services.proofs)
        self.pump = Pump(
            intake,
            self.subscriber,
            settings.batch_messages,
            settings.batch_wait_ms / 1000,
            outbox={
                "gaps": gaps.due,
                "commands": commands.due,
                "handovers": handovers.due,
                "transfers": transfers.due,
                "checkpoints": showing.due,
            },
        )

        self.election = None if lock is None else LeaderElection(lock, self.subscriber, lambda: self.pump.state)
        self.asking = None if self.election is None else Rounds("election", EVERY_S, self.election.round)

    def start(self) -> None:
        """Start the intake, then the subscription that feeds it."""
        self.pump.start()
        for rounds in self.rounds:
            rounds.start()
        self.subscriber.start()
        if self.asking is not None:
            self.asking.start()

    def stop(self) -> None:
        """Stop in the order that loses nothing: what was not committed was not acknowledged."""
        if self.asking is not None and self.election is not None:
            self.asking.stop()
            self.election.end()  # another one goes on at once
        self.pump.stop()
        self.opener.close()
        self.subscriber.stop()
        for rounds in self.rounds:
            rounds.stop()
        self.checkpointer.round()  # what came since the last one
        self.database.close()

    def health(self) -> Health:
        """Say how it is."""
        unattested = [rounds.name for rounds in self.attesting if rounds.failing is not None]
        pump, broker, unsigned = self.pump.state, self.subscriber.state, self.checkpointer.failing
        leads, trouble = (True, None) if self.election is None else (self.election.leads, self.election.trouble)
        own = self.keys.public()
        return health_of(
            pump,
            broker,
            self.database,
            unsigned,
            unattested,
            own,
            takes_events=leads,
            no_leader=trouble,
            certificates=ending(self.settings),
        )

    def web(self, verifiers: Mapping[str, bytes] | None = None) -> FastAPI:
        """Build the HTTP application, with the console where the settings want it.

        `verifiers`: files that check an evidence bundle, by name; the console offers them beside it.
        """
        app = create_api(self.services, self.health)
        if self.settings.console:
            from collector.console.pages import attach  # NiceGUI does much at import; an API alone needs none of it

            sessions = Sessions(self.keys.session, self.services.api_keys)
            attach(app, self.services, sessions, self.health, verifiers)
        return app

    def _deliver(self, message: Message) -> None:
        self.pump.offer(message)


def _opener(settings: Settings) -> Opens:
    return ProcessOpener() if settings.opener_process else Opener()


def settle_memory() -> None:
    """Spare Python's cycle collector what lives as long as the process; a batch makes no cycles, but many objects.

    Without this every few batches wait while the collector walks through all imported modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a batch of 256 events makes some 15,000 objects


def run(settings: Settings, verifiers: Mapping[str, bytes] | None = None) -> None:
    """Run until SIGINT or SIGTERM; `verifiers` as for `Collector.web`."""
    collector = Collector(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            collector.web(verifiers),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            **server_tls(settings),
        )
    )
    # uvicorn raises the signal that ended it once more when it is done; without a handler that would end the process
    # before the intake has stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    settle_memory()
    collector.start()
    try:
        server.run()
    finally:
        collector.stop()

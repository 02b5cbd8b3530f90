"""How a terminal joins: a one-time code, its signed request, an administrator's word, a certificate for the broker.

The code proves that whoever asks was handed it; the signature, that it has the key; the administrator, who compares the
fingerprint on both screens, that it is the terminal that stands there. Nothing is registered before the last.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import Session, col, select

from collector.database import Database
from collector.devices.authority import Authority, read_request
from collector.devices.broker_config import Revoked
from collector.devices.certificates import issue, revoked_certificates
from collector.devices.join_models import Claim, JoinRequest
from collector.devices.join_requests import (
    Waiting,
    counting_key,
    require_free,
    require_own,
    shown,
    waiting_request,
    waiting_requests,
)
from collector.devices.keys import reenrol
from collector.devices.models import Device, DeviceKey
from collector.devices.statements import Statements, record_nothing
from collector.errors import ClaimRefused, Invalid, NotFound, NotReachable, RenewalRefused
from collector.identity import CollectorKeys
from collector.sites.models import Site
from collector.statements.handovers import handovers_message
from collector.timestamps import utc_text
from evidence.errors import EvidenceError
from evidence.keys import PublicKey
from evidence.provisioning import (
    Answer,
    ClaimCode,
    Membership,
    peek_inquiry,
    peek_renewal,
    read_join,
    sign_answer,
    verify_inquiry,
    verify_renewal,
)
from evidence.statements import StatementKind

CLAIM_LIFETIME = timedelta(minutes=15)  # the walk from the office to the gate, not the code's way home

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reachable:
    """How terminals reach this collector; what a code and an approval tell them."""

    url: str | None  # https://host:port
    brokers: tuple[str, ...]  # mqtts://host:port
    ledger: str | None = None  # vkey of the checkpoints, which terminals pin


class Joining:
    """Claims and requests of one collector."""

    def __init__(
        self,
        database: Database,
        keys: CollectorKeys,
        authority: Authority,
        reachable: Reachable,
        record: Statements = record_nothing,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.authority = authority
        self._database, self._keys, self._reachable = database, keys, reachable
        self._record, self._now = record, now

    def claim(self, site: str, device: str, by: str) -> tuple[ClaimCode, str]:
        """Make a code for one terminal of one site; return it and when it ends. It is never seen again.

        Raises Invalid where the settings do not say how terminals reach the collector, NotFound for the site, Conflict
        for a terminal that is revoked or stands elsewhere.
        """
        if self._reachable.url is None or not self._reachable.brokers:
            raise NotReachable("set public_url and public_brokers first: a terminal has to know where to go")
        code = ClaimCode(
            url=self._reachable.url,
            pin=self.authority.pin,
            receipt=self._keys.receipt.public.text(),
            command=self._keys.command.public.text(),
            site=site,
            device=device,
            secret=secrets.token_hex(16),
        )
        now = self._now()
        expires = utc_text(now + CLAIM_LIFETIME)
        with self._database.write() as session:
            if session.get(Site, site) is None:
                raise NotFound(f"there is no site {site}; add it first")
            require_free(session, device, site)
            session.add(
                Claim(
                    secret_hash=_hash(code.secret),
                    site=site,
                    device=device,
                    made_by=by,
                    made_at=utc_text(now),
                    expires=expires,
                )
            )
        log.info("claim made", device=device, site=site, by=by, expires=expires)
        return code, expires

    def join(self, data: bytes) -> bytes:
        """Take a terminal's request; return the signed answer. The code is used up by the first that shows it.

        The same request again (its answer was lost) is answered again. Raises ClaimRefused, Invalid or Conflict.
        """
        try:
            asked, key = read_join(data)
        except EvidenceError as error:
            raise Invalid(f"{error.code}: {error}") from error
        _transport_key(asked.csr)
        now = self._now()
        with self._database.read() as session:  # a stranger's guess must not queue for the one lock of all writers
            _claim(session, asked.secret)
        with self._database.write() as session:
            claim = _claim(session, asked.secret)
            if (claim.site, claim.device) != (asked.site, asked.device):
                raise ClaimRefused(f"this code is for {claim.device} at {claim.site}; have a new one made")
            held = session.get(JoinRequest, claim.join) if claim.join is not None else None
            if held is not None and (held.key_id, held.csr) != (key.id, asked.csr):
                raise ClaimRefused("this code was used by another terminal; have a new one made, and find out by whom")
            if held is None:
                if utc_text(now) >= claim.expires:
                    raise ClaimRefused(f"this code ended at {claim.expires}; have a new one made")
                require_free(session, asked.device, asked.site)
                require_own(session, key, asked.device)
                held = JoinRequest(
                    id=secrets.token_hex(16),
                    site=asked.site,
                    device=asked.device,
                    key=key.text(),
                    key_id=key.id,
                    csr=asked.csr,
                    software=asked.software,
                    state="waiting",
                    asked_at=utc_text(now),
                )
                claim.used_at, claim.join = utc_text(now), held.id
                session.add(held)
                log.warning("a terminal asks to join", device=held.device, site=held.site, key=key.fingerprint)
            return self._answer(session, held, asked.nonce)

    def inquire(self, data: bytes) -> bytes:
        """Say what became of a request, to whoever has its key. Raises NotFound or Invalid."""
        try:
            asked = peek_inquiry(data)
            with self._database.read() as session:
                held = session.get(JoinRequest, asked.join)
                if held is None:
                    raise NotFound("there is no such request; have a new code made")
                verify_inquiry(data, PublicKey.parse(held.key))
                return self._answer(session, held, asked.nonce)
        except EvidenceError as error:
            raise Invalid(f"{error.code}: {error}") from error

    def renew(self, data: bytes) -> bytes:
        """Give a registered terminal a new certificate against a signature of its event key.

        The same key of TLS is given the certificate that it has while most of its time is left, so a repeated request
        makes nothing new. Raises RenewalRefused or Invalid.
        """
        try:
            named, key_id = peek_renewal(data)
        except EvidenceError as error:
            raise Invalid(f"{error.code}: {error}") from error
        now = self._now()
        with self._database.read() as session:  # a stranger's request must not queue for the one lock of all writers
            key = _renewing_key(session, named.device, named.site, key_id)
        try:
            asked = verify_renewal(data, PublicKey.parse(key.key))
        except EvidenceError as error:
            raise Invalid(f"{error.code}: {error}") from error
        with self._database.write() as session:
            _renewing_key(session, named.device, named.site, key_id)  # it may have been revoked meanwhile
            pem = issue(session, self.authority, named.device, _transport_key(asked.csr), now)
            return self._sign("approved", None, named.device, named.site, key_id, asked.nonce, session, pem)

    def handovers(self) -> bytes:
        """Return how the collector's keys were replaced, one signed document a line."""
        with self._database.read() as session:
            return handovers_message(session)

    def requests(self) -> list[Waiting]:
        """Return the requests, those that wait first, the newest first."""
        with self._database.read() as session:
            rows = session.exec(select(JoinRequest).order_by(col(JoinRequest.asked_at).desc())).all()
            waiting = {row.device for row in rows if row.state == "waiting"}
            counting = {device: counting_key(session, device) for device in waiting}
        requests = [shown(row, counting[row.device] if row.state == "waiting" else None) for row in rows]
        return sorted(requests, key=lambda one: one.state != "waiting")

    def approve(self, device: str, by: str, join: str | None = None) -> Waiting:
        """Register the terminal that waits under this name and give it its certificate. `join`: which of several.

        A terminal that is registered already has lost its key or journal: its new key counts for the chains to come,
        the old one for what it has signed. Raises NotFound or Conflict.
        """
        now = self._now()
        with self._database.write() as session:
            held = waiting_request(session, device, join)
            require_free(session, device, held.site)
            key = PublicKey.parse(held.key)
            require_own(session, key, device)
            row = session.get(Device, device)
            if row is None:
                session.add(Device(name=device, site=held.site, added_at=utc_text(now)))
                session.flush()
            reenrol(session, device, key, utc_text(now))
            issue(session, self.authority, device, _transport_key(held.csr), now)
            self._decide(session, held, "approved", by, now)
            body = {"device": device, "chain": None, "key": held.key, "by": by}
            self._record(session, StatementKind.DEVICE_APPROVED, body)
        log.warning("terminal approved", device=device, key=key.fingerprint, by=by, again=row is not None)
        return shown(held)

    def deny(self, device: str, by: str, join: str | None = None) -> Waiting:
        """Refuse whoever waits under this name, `join` alone where it is given; return the newest. Raises NotFound."""
        with self._database.write() as session:
            rows = waiting_requests(session, device, join)
            for held in rows:
                self._decide(session, held, "denied", by, self._now())
        log.warning("terminal denied", device=device, by=by, requests=len(rows))
        return shown(rows[0])

    def revoked(self) -> list[Revoked]:
        """Return the revoked terminals with their certificates, as the broker's configuration wants them."""
        with self._database.read() as session:
            return revoked_certificates(session)

    def _decide(self, session: Session, held: JoinRequest, state: str, by: str, now: datetime) -> None:
        held.state, held.decided_by, held.decided_at = state, by, utc_text(now)
        session.add(held)

    def _answer(self, session: Session, held: JoinRequest, nonce: str) -> bytes:
        if held.state != "approved":
            state = held.state
            return self._sign(state, held.id, held.device, held.site, held.key_id, nonce, session, None)
        request = _transport_key(held.csr)
        pem = issue(session, self.authority, held.device, request, self._now(), make=False)
        return self._sign("approved", held.id, held.device, held.site, held.key_id, nonce, session, pem)

    def _sign(
        self,
        state: str,
        join: str | None,
        device: str,
        site: str,
        key_id: str,
        nonce: str,
        session: Session,
        certificate: str | None,
    ) -> bytes:
        membership = None
        if certificate is not None:
            place = session.get(Site, site)
            assert place is not None  # a foreign key
            membership = Membership(
                certificate=certificate,
                authority=self.authority.pem.decode(),
                brokers=self._reachable.brokers,
                tz=place.tz,
                site_title=place.title[:80],
                ledger=self._reachable.ledger,
            )
        answer = Answer.model_validate(
            {
                "state": state,
                "join": join,
                "device": device,
                "site": site,
                "key_id": key_id,
                "nonce": nonce,
                "time": utc_text(self._now()),
                "membership": membership,
            }
        )
        return sign_answer(answer, self._keys.command)


def _claim(session: Session, secret: str) -> Claim:
    """Return the claim of a code. Raises ClaimRefused."""
    claim = session.get(Claim, _hash(secret))
    if claim is None:
        raise ClaimRefused("this code is not known here; have a new one made")
    return claim


def _renewing_key(session: Session, name: str, site: str, key_id: str) -> DeviceKey:
    """Return the key of a terminal that may have its certificate renewed. Raises RenewalRefused."""
    device = session.get(Device, name)
    query = select(DeviceKey).where(
        DeviceKey.device == name, DeviceKey.key_id == key_id, col(DeviceKey.chain).is_(None)
    )
    key = session.exec(query).first()
    if device is None or key is None or device.site != site:
        raise RenewalRefused("no terminal of this name, site and key is registered here")
    if device.revoked_at is not None:
        raise RenewalRefused(f"{device.name} was revoked at {device.revoked_at}")
    return key


def _transport_key(csr: str) -> ec.EllipticCurvePublicKey:
    try:
        return read_request(base64.b64decode(csr, validate=True))
    except binascii.Error as error:
        raise Invalid("the certificate signing request is not base64") from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

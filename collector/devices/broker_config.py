"""Mosquitto's configuration: TLS, a certificate for every client, rights by the name in it, bounds, revoked terminals.

Written again it keeps keys and a server certificate that is still good, and brings the revocation list and the rights
up to date. The file names are those that the configuration uses; Mosquitto reads rights and lists again on SIGHUP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collector.devices.authority import SERVER_LIFETIME, Authority, new_transport_key
from collector.durable_file import replace_file
from collector.errors import Invalid
from evidence.envelope import MAX_ENVELOPE_BYTES

RENEW_WITHIN = timedelta(days=90)  # of the servers' year: three of four runs change nothing
COLLECTOR = "zaigang.collector"  # the dot keeps it apart from every terminal's name

_CONF = """\
# Written by `zaigang collector broker-config`. Whoever connects shows a certificate of the collector's authority; the
# name in it is the user name and the client id: nobody speaks for another or throws another out.
listener {port} {listen}
cafile {folder}/authority.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
crlfile {folder}/revoked.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/rights.acl

# The broker may forget: a terminal keeps every event until the collector's signed receipt. These bound its memory.
message_size_limit {message_bytes}
max_inflight_messages 20
max_queued_messages 50000
max_queued_bytes 67108864
persistent_client_expiration 1d
"""

_RIGHTS = """\
# A terminal speaks under its own name only, and hears only what is meant for it; %u is the name in its certificate.
# Under which site it may speak, the collector checks: topic, signed event and registration have to agree.
pattern write zaigang/v1/+/%u/event
pattern write zaigang/v1/+/%u/health
pattern write zaigang/v1/+/%u/status
pattern write zaigang/v1/+/%u/transfer
pattern read zaigang/v1/+/%u/receipt
pattern read zaigang/v1/+/%u/command
pattern read zaigang/v1/+/%u/peer
"""

_COLLECTOR_RIGHTS = """
user {name}
topic read zaigang/v1/+/+/event
topic read zaigang/v1/+/+/health
topic read zaigang/v1/+/+/status
topic read zaigang/v1/+/+/transfer
topic write zaigang/v1/+/+/receipt
topic write zaigang/v1/+/+/command
topic write zaigang/v1/+/+/peer
"""

_REVOKED = """
# revoked: also a connection that is still open says and hears nothing more
user {name}
topic deny #
"""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked terminal and the certificates that it was given: serial number and when it was revoked."""

    name: str
    certificates: tuple[tuple[int, datetime], ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens, and under which names terminals reach it."""

    hosts: tuple[str, ...]
    address: str = "0.0.0.0"  # noqa: S104  terminals come from other machines; nobody gets in without a certificate
    port: int = 8883


def write_broker_config(
    folder: Path,
    listener: Listener,
    authority: Authority,
    revoked: Sequence[Revoked],
    now: datetime,
    *,
    collectors: int = 1,
    installed: Path | None = None,
) -> list[Path]:
    """Write everything into `folder`; return the files. `installed`: where they will lie when Mosquitto reads them.

    `collectors`: how many collector processes share the work; each needs a name and a certificate of its own. Raises
    OSError, and Invalid without a host name.
    """
    if not listener.hosts:
        raise Invalid("name at least one host under which terminals reach the broker")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = [f"{COLLECTOR}-{n}" for n in range(1, collectors + 1)]
    place = (installed or folder).resolve()
    conf = _CONF.format(port=listener.port, listen=listener.address, folder=place, message_bytes=MAX_ENVELOPE_BYTES)
    rights = _RIGHTS + "".join(_COLLECTOR_RIGHTS.format(name=name) for name in names)
    rights += "".join(_REVOKED.format(name=one.name) for one in revoked)
    written = {
        "zaigang.conf": conf.encode(),
        "rights.acl": rights.encode(),
        "authority.pem": authority.pem,
        "revoked.pem": authority.revocations([pair for one in revoked for pair in one.certificates], now),
    }
    written |= _pair(folder, "broker", authority, now, lambda key: authority.server(listener.hosts, key, now), listener)
    for name in names:
        short = name.removeprefix("zaigang.")
        written |= _pair(folder, short, authority, now, _client(authority, name, now), None)
    for name, content in written.items():
        replace_file(folder / name, content)
    return [folder / name for name in written]


def certificate_pair(folder: Path, name: str, authority: Authority, now: datetime, listener: Listener) -> None:
    """Have a server's key and certificate lie in `folder` under `name`, valid for the listener's hosts."""
    for file, content in _pair(
        folder, name, authority, now, lambda key: authority.server(listener.hosts, key, now), listener
    ).items():
        replace_file(folder / file, content)


def _client(authority: Authority, name: str, now: datetime) -> Callable[[ec.EllipticCurvePublicKey], x509.Certificate]:
    return lambda key: authority.client(name, key, now, SERVER_LIFETIME)


def _pair(
    folder: Path,
    name: str,
    authority: Authority,
    now: datetime,
    issue: Callable[[ec.EllipticCurvePublicKey], x509.Certificate],
    listener: Listener | None,
) -> dict[str, bytes]:
    """Return a key and its certificate: those that lie there where they are still good, else new ones."""
    key_file, certificate_file = folder / f"{name}.key", folder / f"{name}.pem"
    if key_file.exists() and certificate_file.exists():
        held = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        named = listener is None or _hosts(held) == set(listener.hosts)
        if authority.issued(held) and named and held.not_valid_after_utc - now > RENEW_WITHIN:
            return {}
    pem = key_file.read_bytes() if key_file.exists() else new_transport_key()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return {
        f"{name}.key": pem,
        f"{name}.pem": issue(key.public_key()).public_bytes(serialization.Encoding.PEM),
    }


def _hosts(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}

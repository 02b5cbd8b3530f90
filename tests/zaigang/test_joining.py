"""A terminal joins a collector over real HTTPS: who gets in, who does not, and what each side shows."""

from __future__ import annotations

import ssl
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collector.devices.authority import Authority, load_or_create_authority, new_transport_key
from collector.devices.server_tls import Tls
from collector.errors import ClaimRefused, Conflict, Invalid, NameTaken, NotFound, SeveralWait
from evidence.errors import JoinError, JoinMismatch, SignatureError
from evidence.keys import Ed25519Key, Es256Key, SigningKey
from evidence.provisioning import Answer, ClaimCode, Join, read_join, sign_answer, sign_join, verify_answer
from kiosk.errors import (
    CollectorRefused,
    CollectorUnreachable,
    JoinDenied,
    JoinUnanswered,
    SettingsError,
    WrongPin,
)
from kiosk.pinned_https import PinnedServer
from kiosk.provisioning import JoinedNow, Waiting, join
from kiosk.settings import KioskSettings
from kiosk.terminal_key import TerminalKey
from tests.support.waiting import eventually
from tests.zaigang.joining import Centre

SOON_S = 20.0


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector")
    yield one
    one.close()


@pytest.fixture
def serving(centre: Centre) -> Iterator[Centre]:
    with centre.serving():
        yield centre


def ask(
    code: ClaimCode,
    folder: Path,
    key: SigningKey | None = None,
    shown: list[Waiting] | None = None,
    *,
    check_dates: bool = True,
    patience_s: float = SOON_S,
) -> JoinedNow:
    show = shown.append if shown is not None else (lambda _: None)
    signer = key or TerminalKey(folder / "terminal.pem")
    return join(code, folder, signer, check_dates=check_dates, show=show, patience_s=patience_s)


def joined(centre: Centre, folder: Path, key: SigningKey | None = None, device: str = "gate-1") -> JoinedNow:
    """Join with an administrator who approves at once."""
    code, _ = centre.joining.claim("east", device, "me")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, code, folder, key)
        centre.decide(device)
        return asked.result(SOON_S)


def nothing_registered(centre: Centre) -> bool:
    return not centre.services.devices.all()


# --- the way in


@pytest.mark.parametrize("kind", [Ed25519Key, Es256Key], ids=["file", "TPM's kind"])
def test_a_terminal_joins_once_an_administrator_approves(serving: Centre, tmp_path: Path, kind: Any) -> None:
    key, shown, folder = kind.generate(), list[Waiting](), tmp_path / "terminal"
    code, _ = serving.joining.claim("east", "gate-1", "me")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, code, folder, key, shown)
        eventually(lambda: bool(serving.joining.requests()))
        (request,) = serving.joining.requests()
        assert nothing_registered(serving)  # a good code alone registers nobody
        assert (request.state, request.fingerprint) == ("waiting", key.public.fingerprint)
        fingerprint = serving.decide("gate-1")
        done = asked.result(SOON_S)
    assert fingerprint == shown[0].fingerprint == done.fingerprint == key.public.fingerprint
    assert abs(done.behind_s) <= 2
    (device,) = serving.services.devices.all()
    assert (device.name, device.site) == ("gate-1", "east")
    assert [row.key for row in serving.services.devices.keys("gate-1")] == [key.public.text()]
    settings = KioskSettings.load(written(tmp_path, f'data_dir = "{folder}"\n'))
    assert (settings.device, settings.site, settings.site_title) == ("gate-1", "east", "东门 East")
    assert settings.ledger_key == serving.ledger_key
    assert set(settings.pinned_keys) == {serving.keys.receipt.public, serving.keys.command.public}
    assert settings.broker == ("mqtts://localhost:8883",)
    context = ssl.create_default_context(cafile=str(settings.broker_ca))
    assert settings.broker_cert is not None
    context.load_cert_chain(settings.broker_cert, settings.broker_key)  # certificate and key belong together
    certificate = x509.load_pem_x509_certificate(settings.broker_cert.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=gate-1"
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in folder.iterdir())


def written(folder: Path, text: str) -> Path:
    path = folder / "kiosk.toml"
    path.write_text(text)
    return path


def test_the_operators_file_stands_over_what_joining_wrote(serving: Centre, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    joined(serving, folder)
    settings = KioskSettings.load(written(tmp_path, f'data_dir = "{folder}"\nsite_title = "my own"\n'))
    assert (settings.site_title, settings.device) == ("my own", "gate-1")
    (folder / "joined.toml").write_text("device = ")
    with pytest.raises(SettingsError, match="join again"):
        KioskSettings.load(tmp_path / "kiosk.toml")


def test_who_is_denied_gets_nothing(serving: Centre, tmp_path: Path) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, code, tmp_path / "terminal")
        serving.decide("gate-1", approve=False)
        with pytest.raises(JoinDenied, match="an administrator refused gate-1"):
            asked.result(SOON_S)
    assert nothing_registered(serving)
    assert not (tmp_path / "terminal" / "joined.toml").exists()
    with pytest.raises(NotFound):
        serving.joining.approve("gate-1", "me")  # a denial is final
    with pytest.raises(JoinDenied):
        ask(code, tmp_path / "terminal")


def test_a_wait_that_was_broken_off_goes_on_with_the_same_code_even_after_its_end(
    serving: Centre, tmp_path: Path
) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    with pytest.raises(JoinUnanswered, match="run the same command again"):
        ask(code, tmp_path / "terminal", patience_s=0)
    serving.ahead = timedelta(hours=2)
    with pytest.raises(JoinUnanswered):
        ask(code, tmp_path / "terminal", patience_s=0)
    serving.decide("gate-1")
    assert ask(code, tmp_path / "terminal").device == "gate-1"
    assert len(serving.joining.requests()) == 1


# --- the code


def test_a_code_ends_after_fifteen_minutes(serving: Centre, tmp_path: Path) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    serving.ahead = timedelta(minutes=15)
    with pytest.raises(CollectorRefused, match="this code ended at"):
        ask(code, tmp_path / "terminal")
    assert not serving.joining.requests()
    serving.ahead = timedelta(minutes=14, seconds=55)
    with pytest.raises(JoinUnanswered):
        ask(code, tmp_path / "terminal", patience_s=0)


def test_a_code_works_for_one_terminal_once(serving: Centre, tmp_path: Path) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    with pytest.raises(JoinUnanswered):
        ask(code, tmp_path / "first", patience_s=0)
    with pytest.raises(CollectorRefused, match="used by another terminal"):
        ask(code, tmp_path / "second")
    serving.decide("gate-1")
    with pytest.raises(CollectorRefused, match="used by another terminal"):
        ask(code, tmp_path / "third")
    assert len(serving.joining.requests()) == 1


@pytest.mark.parametrize("change", [{"site": "west"}, {"device": "gate-2"}, {"secret": "0" * 32}])
def test_a_code_is_for_one_terminal_of_one_site(serving: Centre, tmp_path: Path, change: dict[str, str]) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    with pytest.raises(CollectorRefused, match=r"this code is (for gate-1 at east|not known here)"):
        ask(code.model_copy(update=change), tmp_path / "terminal")
    assert not serving.joining.requests()


def test_a_code_has_128_bits_that_are_not_kept(centre: Centre) -> None:
    codes = {centre.joining.claim("east", f"gate-{n}", "me")[0].secret for n in range(20)}
    assert len(codes) == 20
    assert all(len(bytes.fromhex(one)) == 16 for one in codes)
    centre.close()
    kept = b"".join(file.read_bytes() for file in centre.data.glob("collector.sqlite*"))
    assert not any(one.encode() in kept for one in codes)


def test_a_code_is_read_as_it_was_written_and_no_other_way(centre: Centre) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    text = code.text()
    assert ClaimCode.parse(text) == code
    assert ClaimCode.parse(f"  {text[:60]}\n {text[60:]} \n") == code  # copied from two lines
    for bad in (
        "",
        "zaigang-join-v1/",
        text[:-5],
        text.replace("v1", "v2", 1),
        text + "A",
        text.replace("gate-1", "gate-2"),
        "x" * 5000,
    ):
        with pytest.raises(JoinError, match="copy it whole"):
            ClaimCode.parse(bad)
    with pytest.raises(ValueError, match="https"):
        replace_url(code, "http://localhost")


def replace_url(code: ClaimCode, url: str) -> ClaimCode:
    return ClaimCode.model_validate(code.model_dump() | {"url": url})


def test_no_code_is_made_for_who_must_not_join(centre: Centre, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        centre.joining.claim("north", "gate-1", "me")
    with centre.serving():
        joined(centre, tmp_path / "terminal")
    with pytest.raises(Conflict, match="registered at east"):
        centre.joining.claim("west", "gate-1", "me")
    centre.services.devices.revoke("gate-1")
    with pytest.raises(Conflict, match="was revoked"):
        centre.joining.claim("east", "gate-1", "me")


# --- who answers


def certificate(folder: Path, authority: Authority, name: str = "localhost", *, ended: bool = False) -> Tls:
    """A server's certificate as uvicorn takes it."""
    folder.mkdir()
    key = serialization.load_pem_private_key(new_transport_key(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC) - timedelta(days=400 if ended else 0)
    pem = authority.server([name], key.public_key(), now).public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(pem)
    form = serialization.PrivateFormat.PKCS8
    plain = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "server.key").write_bytes(plain)
    return {"ssl_certfile": folder / "server.pem", "ssl_keyfile": folder / "server.key"}


def test_another_collector_at_the_address_is_found_out_before_anything_is_said(centre: Centre, tmp_path: Path) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    other = Centre(tmp_path / "other", centre.port)
    with other.serving(), pytest.raises(WrongPin, match="somebody may stand between"):
        ask(code, tmp_path / "terminal")
    other.close()


@pytest.mark.parametrize("how", ["another authority's certificate", "another host's name"])
def test_who_shows_the_right_authority_but_not_its_certificate_is_found_out(
    centre: Centre, tmp_path: Path, how: str
) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    stranger = load_or_create_authority(tmp_path / "stranger")
    forged = (
        certificate(tmp_path / "tls", stranger)
        if how.startswith("another authority")
        else certificate(tmp_path / "tls", centre.joining.authority, "example.org")
    )
    with centre.serving(forged), pytest.raises(WrongPin, match="the pinned authority does not stand for"):
        ask(code, tmp_path / "terminal", check_dates=False)
    assert not centre.joining.requests()


def test_a_strangers_certificate_behind_the_right_one_is_not_trusted(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands between can answer the unchecked question for the authority with two certificates in one text."""
    code, _ = centre.joining.claim("east", "gate-1", "me")
    stranger = load_or_create_authority(tmp_path / "stranger")
    both = centre.joining.authority.pem + stranger.pem
    monkeypatch.setattr(Authority, "pem", property(lambda self: both))
    with centre.serving(certificate(tmp_path / "tls", stranger)), pytest.raises(WrongPin, match="does not stand for"):
        ask(code, tmp_path / "terminal")
    assert not centre.joining.requests()


def test_dates_count_where_the_clock_is_known_and_only_there(centre: Centre, tmp_path: Path) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    with centre.serving(certificate(tmp_path / "tls", centre.joining.authority, ended=True)):
        with pytest.raises(WrongPin, match="the clock where a date is meant"):
            ask(code, tmp_path / "terminal", check_dates=True)
        with pytest.raises(JoinUnanswered):
            ask(code, tmp_path / "terminal", check_dates=False, patience_s=0)


def test_nobody_at_the_address_is_said_plainly(centre: Centre, tmp_path: Path) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    with pytest.raises(CollectorUnreachable, match=r"localhost:\d+ does not answer"):
        ask(code, tmp_path / "terminal")


def test_an_answer_that_the_pinned_key_has_not_signed_is_not_believed(serving: Centre, tmp_path: Path) -> None:
    code, _ = serving.joining.claim("east", "gate-1", "me")
    other = code.model_copy(update={"command": Ed25519Key.generate().public.text()})
    with pytest.raises(SignatureError):
        ask(other, tmp_path / "terminal")


def test_a_recorded_answer_is_not_taken_for_a_new_one() -> None:
    key, nonce = Ed25519Key.generate(), "a" * 32
    said = Answer(
        state="approved",
        join=None,
        device="gate-1",
        site="east",
        key_id="b" * 64,
        nonce=nonce,
        time="2026-11-24T08:00:00.000Z",
    )
    data = sign_answer(said, key)
    right = {"nonce": nonce, "device": "gate-1", "site": "east", "key_id": "b" * 64}
    assert verify_answer(data, key.public, **right) == said
    for wrong in ({"nonce": "c" * 32}, {"device": "gate-2"}, {"site": "west"}, {"key_id": "d" * 64}):
        with pytest.raises(JoinMismatch):
            verify_answer(data, key.public, **(right | wrong))


# --- what strangers send


def a_request(centre: Centre, key: SigningKey, **changes: Any) -> Join:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    from cryptography.hazmat.primitives import hashes

    private = serialization.load_pem_private_key(new_transport_key(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, hashes.SHA256())
    import base64

    fields = {
        "secret": code.secret,
        "site": "east",
        "device": "gate-1",
        "key": key.public.text(),
        "csr": base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode(),
        "nonce": "a" * 32,
        "software": "test",
    }
    return Join.model_validate(fields | changes)


def test_a_key_that_the_asker_does_not_have_is_refused(centre: Centre) -> None:
    victim, thief = Ed25519Key.generate(), Ed25519Key.generate()
    with pytest.raises(Invalid, match="unknown_key"):
        centre.joining.join(sign_join(a_request(centre, victim), thief))
    assert not centre.joining.requests()


def test_a_key_of_another_terminal_cannot_join(centre: Centre, tmp_path: Path) -> None:
    key = Ed25519Key.generate()
    with centre.serving():
        joined(centre, tmp_path / "terminal", key, "gate-9")
    with pytest.raises(Conflict, match="every terminal has a key of its own"):
        centre.joining.join(sign_join(a_request(centre, key), key))


@pytest.mark.parametrize("csr", ["AAAA", "A", "A" * 6000])
def test_a_certificate_request_that_is_none_uses_no_code_up(centre: Centre, csr: str) -> None:
    key = Ed25519Key.generate()
    with pytest.raises(Invalid):
        centre.joining.join(sign_join(a_request(centre, key, csr=csr), key))
    assert not centre.joining.requests()


def test_a_recorded_request_gives_no_second_terminal(centre: Centre) -> None:
    key = Ed25519Key.generate()
    data = sign_join(a_request(centre, key), key)
    centre.joining.join(data)
    centre.joining.deny("gate-1", "me")
    centre.joining.join(data)  # answered again: denied
    (request,) = centre.joining.requests()
    assert request.state == "denied"
    assert nothing_registered(centre)
    other = Ed25519Key.generate()
    copied, _ = read_join(data)
    with pytest.raises(ClaimRefused, match="used by another terminal"):
        centre.joining.join(sign_join(copied.model_copy(update={"key": other.public.text()}), other))


@pytest.mark.parametrize("path", ["join", "inquire", "renew"])
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, b"[" * 10_000, b"x" * 70_000])
def test_garbage_is_refused_with_a_reason(serving: Centre, path: str, data: bytes) -> None:
    server = PinnedServer(f"https://localhost:{serving.port}", serving.joining.authority.pin)
    with pytest.raises(CollectorRefused):
        server.post(f"/api/v1/provisioning/{path}", data)


# --- again


def test_a_terminal_that_lost_its_key_joins_again_and_its_old_key_opens_no_chain(
    serving: Centre, tmp_path: Path
) -> None:
    from collector.ingest.intake import Intake, Limits
    from collector.ingest.message import Message
    from collector.timestamps import utc_now
    from tests.collector.terminal import Terminal

    old, new = Ed25519Key.generate(), Ed25519Key.generate()
    intake = Intake(serving.database, serving.keys.receipt, serving.keys.seal, Limits())

    def offer(terminal: Terminal, data: bytes) -> int:
        return len(intake.admit([Message(terminal.event_topic, data, utc_now())]))

    joined(serving, tmp_path / "old", old)
    before = Terminal("gate-1", "east", old)
    assert offer(before, before.enrol()) == 1
    joined(serving, tmp_path / "new", new)
    assert offer(before, before.punch()) == 1  # a backlog of the old chain still counts
    later = Terminal("gate-1", "east", new)
    assert offer(later, later.enrol()) == 0
    assert serving.services.devices.approve("gate-1", later.chain, "me") == [later.chain]
    assert len(intake.admit_ready()) == 1
    stolen = Terminal("gate-1", "east", old)
    assert offer(stolen, stolen.enrol()) == 0
    assert [one.code for one in serving.services.dead_letters.page(None, 10)] == ["unknown_key"]


def test_of_several_who_wait_under_one_name_one_is_let_in_by_its_fingerprint_or_all_are_refused(
    centre: Centre, tmp_path: Path
) -> None:
    """A code that was photographed, or an installer who tried as another user first: the name must not be locked."""
    with centre.serving():
        for number in range(3):
            code, _ = centre.joining.claim("east", "gate-1", "me")
            with pytest.raises(JoinUnanswered):
                ask(code, tmp_path / f"terminal-{number}", patience_s=0)
    waiting = [one for one in centre.joining.requests() if one.state == "waiting"]
    assert len({one.fingerprint for one in waiting}) == 3
    with pytest.raises(SeveralWait):
        centre.joining.approve("gate-1", "me")
    with pytest.raises(NotFound):
        centre.joining.approve("gate-2", "me", waiting[0].id)
    assert centre.joining.approve("gate-1", "me", waiting[1].id).fingerprint == waiting[1].fingerprint
    left = [one for one in centre.joining.requests() if one.state == "waiting"]
    assert {one.replaces for one in left} == {waiting[1].fingerprint}  # whoever approves is told whose place it takes
    centre.joining.deny("gate-1", "me")
    assert [one.state for one in centre.joining.requests()].count("denied") == 2
    assert centre.services.devices.get("gate-1").state != "revoked"


def test_no_terminal_bears_the_collectors_own_name(centre: Centre) -> None:
    """Its events would be read as the collector's statements, and no ledger forgets."""
    with pytest.raises(NameTaken):
        centre.joining.claim("east", "collector", "me")


def test_two_joins_at_once_are_two_terminals(serving: Centre, tmp_path: Path) -> None:
    codes = [serving.joining.claim("east", f"gate-{n}", "me")[0] for n in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, code, tmp_path / code.device) for code in codes]
        deciders = [threading.Thread(target=serving.decide, args=(code.device,)) for code in codes]
        for one in deciders:
            one.start()
        done = [one.result(SOON_S) for one in asked]
        for one in deciders:
            one.join()
    assert {one.device for one in done} == {"gate-1", "gate-2"}
    assert done[0].fingerprint != done[1].fingerprint
    assert replace(done[0]).settings.parent != done[1].settings.parent

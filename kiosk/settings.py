"""One terminal's settings: a TOML file, over which environment variables `ZAIGANG_KIOSK_…` stand.

`KioskSettings.load(path)` reads both; the constructor takes values alone, so a program that builds its settings in
code is not changed by its environment. docs/examples/kiosk.toml shows every key.
"""

from __future__ import annotations

import re
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as PydanticSettingsError,
)

from evidence.errors import InvalidKey
from evidence.events import Name, WorkerCode
from evidence.key_history import LogKey
from evidence.keys import PublicKey
from evidence.note import VerifierKey
from kiosk.errors import SettingsError
from kiosk.joined import joined_of, read_joined
from kiosk.pinned_keys import HANDOVERS, believed_keys, ledger_keys
from kiosk.settings_reading import foreign_variables, guess, named, over, problems, read_toml
from kiosk.settings_tables import EnclosureSettings, FenceSettings, PresenceSettings, TransferSettings
from kiosk.verify.embedder_choice import EmbedderChoice
from kiosk.verify.model_limits import DLIB, MODEL_LIMITS, SFACE

ENV_PREFIX = "ZAIGANG_KIOSK_"
Texts = Annotated[tuple[str, ...], NoDecode]  # in the environment: separated by commas
BEACON_KINDS = ("ibeacon:", "altbeacon:", "eddystone-uid:", "eddystone-url:", "eid:")  # what a badge may send
Port = Annotated[int, Field(ge=1, le=65535)]


TABLES: dict[str, type[BaseModel]] = {
    "fence": FenceSettings,
    "enclosure": EnclosureSettings,
    "presence": PresenceSettings,
    "transfer": TransferSettings,
}


class KioskSettings(BaseSettings):
    """Everything that differs from terminal to terminal."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    # Who and where
    device: Name
    site: Name
    site_title: str = Field(default="", max_length=80)  # shown to workers; the site's name where empty
    tz: str = "Asia/Shanghai"
    language: Literal["zh", "en"] = "zh"  # the screen's first language; a worker can change it
    data_dir: Path = Path("/var/lib/zaigang")
    tpm: str = Field(default="auto", pattern="^(auto|none|[a-z]+(:.*)?)$")  # or a TCTI, such as device:/dev/tpmrm0

    # The way to the collector
    broker: Texts = ("mqtt://127.0.0.1:1883",)  # tried in turn; one text or a list
    broker_ca: Path | None = None  # PEM; the system's authorities where not given
    broker_cert: Path | None = None  # this terminal's client certificate and its key
    broker_key: Path | None = None
    mqtt_version: Literal[5, 3] = 5  # 3 means 3.1.1
    collector_keys: Texts = ()  # PublicKey texts; what they did not sign is not believed
    ledger_key: str | None = None  # vkey of the collector's ledger: what it shows is held against what it showed before
    collector_url: str | None = None  # https://host:port, and its authority's pin: for a new certificate
    collector_pin: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    # So long without a broker, and a terminal that has joined posts its events to collector_url; 0: never.
    https_after_s: int = Field(default=300, ge=0, le=604_800)
    window: int = Field(default=64, ge=1, le=1000)  # events under way without a receipt

    # What the terminal looks with
    camera: str = "/dev/video0"  # or picamera2, picamera2:1 (the second), file:PATH
    gps_port: str | None = None  # such as /dev/ttyAMA0
    gps_baud: int = Field(default=9600, ge=1200, le=921_600)
    beacons: str | None = None  # "bleak", file:PATH, or none
    anchors: Texts = ()  # beacon ids that stand at this site
    badges: dict[str, WorkerCode] = {}  # beacon id (or eid:NAME) worn, to the employee code of its worker
    eid_keys: Path | None = None  # identity keys of Eddystone-EID beacons, mode 0600 (kiosk/eid_keys.py)
    presence: PresenceSettings | None = None  # none: no presence is noted
    fence: FenceSettings | None = None
    landmark_bundle: Path | None = None  # a face_landmarker.task of one's own
    badge_reader: str | None = None  # /dev/input/by-id/…, file:PATH, or none
    badge_codes: Path | None = None  # CSV of code,employee code; where not given a badge's code is the employee code
    enclosure: EnclosureSettings = EnclosureSettings()
    transfer: TransferSettings | None = None  # none: no face leaves this terminal and none comes

    # How a face becomes a vector, and how near is near enough (docs/calibration.md)
    embedder: Literal["dlib", "sface"] = "dlib"
    sface_model: Path | None = None  # the ONNX file, for embedder = "sface"
    sface_sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    match_distance: float | None = Field(default=None, gt=0)  # Euclidean; the model's own where not given
    # Workers among whom a face is searched without a badge number; 0: never. False matches grow with the number (1:N).
    identify_at_most: int = Field(default=100, ge=0, le=1000)
    flash: Literal["off", "on"] = "off"  # light the face with the screen; nobody has calibrated it on hardware yet
    flash_excused: Texts = ()  # employee codes that are never lit, by agreement

    # What is demanded
    profile: Literal["outdoor", "indoor", "badge-only", "demo"] = "indoor"

    # What is told of itself
    coverage_every_s: int = Field(default=900, ge=5, le=86_400)  # a signed account of how long each part worked

    # The screen
    screen_host: str = "127.0.0.1"
    screen_port: Port = 8080

    # The journal
    retention_days: int = Field(default=90, ge=1, le=3650)  # kept after the receipt
    low_space_mib: int = Field(default=64, ge=1)
    journal_max_pages: int | None = Field(
        default=None, ge=16
    )  # 4,096 bytes each; no bound but the disk where not given

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read what joining wrote, the TOML file at `path` (or none) over it, and the environment over both.

        Raises SettingsError, whose message names every wrong key and, for an unknown one, the likely right one.
        """
        values = read_toml(path)
        environment = EnvSettingsSource(cls)
        known = set(cls.model_fields)
        unknown = [guess(key, known) for key in values if key not in known]
        unknown += [guess(key, known, ENV_PREFIX) for key in foreign_variables(known, ENV_PREFIX)]
        if unknown:
            raise SettingsError(problems(path, unknown))
        try:
            given = over(values, environment())
            folder = Path(str(given.get("data_dir", cls.model_fields["data_dir"].default)))
            return cls(**over(read_joined(folder), given))
        except ValidationError as error:
            raise SettingsError(problems(path, named(error, known, TABLES))) from error
        except PydanticSettingsError as error:  # a variable that should hold JSON and does not
            raise SettingsError(problems(path, [str(error)])) from error

    @classmethod
    def before_joining(cls, path: Path | None) -> tuple[dict[str, Any], Path, str]:
        """Return what the operator's file and environment say, the data folder and the TPM, of a terminal that may not
        have joined yet. Raises SettingsError.
        """
        given = over(read_toml(path), EnvSettingsSource(cls)())
        fields = cls.model_fields
        folder = Path(str(given.get("data_dir", fields["data_dir"].default)))
        return given, folder, str(given.get("tpm", fields["tpm"].default))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the constructor's values alone."""
        return (init_settings,)

    @field_validator("broker", "collector_keys", "anchors", "flash_excused", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value

    @field_validator("mqtt_version", mode="before")
    @classmethod
    def _digit(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value  # the environment has only text

    @field_validator("broker")
    @classmethod
    def _broker_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
                raise ValueError("a broker is written mqtt://host:port or mqtts://host:port")
            _ = parts.port  # raises ValueError beyond 65535
        return value

    @field_validator("collector_keys")
    @classmethod
    def _keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                PublicKey.parse(text)
            except InvalidKey as error:
                raise ValueError(str(error)) from error
        return value

    @field_validator("ledger_key")
    @classmethod
    def _ledger(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                VerifierKey.parse(value)
        except InvalidKey as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("tz")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            if not zoneinfo.available_timezones():
                raise ValueError("this machine has no time zones; install Debian's tzdata") from error
            raise ValueError("no such IANA time zone, such as Asia/Shanghai") from error
        return value

    @field_validator("camera")
    @classmethod
    def _camera(cls, value: str) -> str:
        if not value.startswith(("/dev/", "file:")) and not re.fullmatch(r"picamera2(:[0-9])?", value):
            raise ValueError("a camera is a device such as /dev/video0, picamera2, picamera2:1, or file:PATH")
        return value

    @field_validator("beacons")
    @classmethod
    def _beacons(cls, value: str | None) -> str | None:
        if value == "none":
            return None
        if value is not None and value != "bleak" and not value.startswith("file:"):
            raise ValueError('beacons come from "bleak", file:PATH or "none"')
        return value

    @field_validator("badges")
    @classmethod
    def _badges(cls, value: dict[str, str]) -> dict[str, str]:
        for badge in value:
            if not badge.startswith(BEACON_KINDS):
                raise ValueError(f"a badge begins with one of {', '.join(BEACON_KINDS)}")
        return value

    @model_validator(mode="after")
    def _badges_can_be_heard(self) -> Self:
        if self.badges and self.beacons is None:
            raise ValueError("badges need a scanner: set beacons")
        if self.presence is not None and not self.badges:
            raise ValueError("presence needs badges, and workers to whom they belong")
        if self.eid_keys is None and any(one.startswith("eid:") for one in (*self.badges, *self.anchors)):
            raise ValueError("eid:NAME needs eid_keys, the file with its key")
        return self

    @field_validator("badge_reader")
    @classmethod
    def _badge_reader(cls, value: str | None) -> str | None:
        if value == "none":
            return None
        if value is not None and not value.startswith(("/dev/input/", "file:")):
            raise ValueError('a badge reader is a device such as /dev/input/by-id/…-event-kbd, file:PATH or "none"')
        return value

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if not self.broker and (self.https_after_s == 0 or joined_of(self) is None):
            raise ValueError(
                "broker: name at least one broker; only a terminal that has joined can do with HTTPS alone"
            )
        return self

    @model_validator(mode="after")
    def _certificate_pair(self) -> Self:
        if (self.broker_cert is None) != (self.broker_key is None):
            raise ValueError("broker_cert and broker_key come together")
        return self

    @model_validator(mode="after")
    def _whole_embedder(self) -> Self:
        if self.embedder == "sface" and (self.sface_model is None or self.sface_sha256 is None):
            raise ValueError('embedder = "sface" needs sface_model and sface_sha256')
        widest = MODEL_LIMITS[DLIB if self.embedder == "dlib" else SFACE].widest
        if self.match_distance is not None and self.match_distance > widest:
            raise ValueError(f"match_distance: at most {widest:g} with the embedder {self.embedder}")
        return self

    @property
    def embedder_choice(self) -> EmbedderChoice:
        """What makes a face a vector."""
        return EmbedderChoice(self.embedder, self.sface_model, self.sface_sha256)

    @property
    def pinned_keys(self) -> tuple[PublicKey, ...]:
        """The collector's keys that count now."""
        return believed_keys(self.provisioned_keys, self.handovers_file)

    @property
    def provisioned_keys(self) -> tuple[PublicKey, ...]:
        """The collector's keys as they were when this terminal was set up."""
        return tuple(PublicKey.parse(text) for text in self.collector_keys)

    @property
    def ledger_keys(self) -> tuple[LogKey, ...]:
        """The ledger's keys that count; none where none is pinned."""
        return ledger_keys(self.ledger_key, self.handovers_file)

    @property
    def handovers_file(self) -> Path:
        """Where the collector's words about its later keys lie."""
        return self.data_dir / HANDOVERS

    @property
    def title(self) -> str:
        """What workers call the site."""
        return self.site_title or self.site

    @property
    def journal_file(self) -> Path:
        """Where the chain lies."""
        return self.data_dir / "journal.db"

    @property
    def key_file(self) -> Path:
        """Where the terminal's signing key lies."""
        return self.data_dir / "terminal.pem"

    @property
    def scene_file(self) -> Path:
        """Where the scene before the camera is kept, as points; removing the file has it learnt anew."""
        return self.data_dir / "scene.npz"

    @property
    def gps_home_file(self) -> Path:
        """Where the place lies at which the terminal was put up."""
        return self.data_dir / "gps-home.json"

    @property
    def gallery_file(self) -> Path:
        """Where the encrypted face templates lie."""
        return self.data_dir / "gallery.db"

    @property
    def spot_check_file(self) -> Path:
        """Where the attempts at an open spot check lie until they are signed."""
        return self.data_dir / "spot-check.json"

    @property
    def clips_folder(self) -> Path:
        """Where the clips of spot checks lie, encrypted."""
        return self.data_dir / "clips"

    @property
    def clip_key_file(self) -> Path:
        """Where their key lies."""
        return self.data_dir / "clip.key"

    @property
    def presence_file(self) -> Path:
        """Where the presence that is not yet signed lies."""
        return self.data_dir / "presence.json"

    @property
    def gallery_key_file(self) -> Path:
        """Where their key lies."""
        return self.data_dir / "gallery.key"

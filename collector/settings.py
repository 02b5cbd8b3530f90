"""The collector's settings: defaults, then a TOML file, then ZAIGANG_COLLECTOR_* variables, then the command line."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from collector.errors import SettingsError
from evidence.checkpoint import WitnessPolicy
from evidence.errors import EvidenceError
from evidence.note import VerifierKey


class WitnessSetting(BaseModel):
    """A witness that is asked to cosign."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="Its vkey, as `zaigang witness key` prints it.")
    url: str = Field(pattern=r"^https?://", description="Where it listens.")

    @field_validator("key")
    @classmethod
    def _key_is_a_witness(cls, value: str) -> str:
        try:
            WitnessPolicy((VerifierKey.parse(value),))
        except EvidenceError as error:
            raise ValueError(str(error)) from error
        return value


class Settings(BaseSettings):
    """Everything that can be set; each field's comment gives its reason."""

    model_config = SettingsConfigDict(env_prefix="ZAIGANG_COLLECTOR_", extra="forbid", frozen=True)
    toml_path: ClassVar[Path | None] = None

    data: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "zaigang" / "collector",
        description="Folder of the database and the keys.",
    )
    database: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/name, for several collectors; a SQLite file in `data` otherwise.",
    )
    host: str = Field("127.0.0.1", description="Address that the API and the console listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Their TCP port.")
    console: bool = Field(default=True, description="Serve the console pages beside the API.")

    https: bool = Field(
        default=False,
        description="Serve API and console over TLS, with a certificate of the collector's own authority.",
    )
    public_url: str | None = Field(None, description="https://host:port under which terminals reach it, for joining.")
    public_brokers: tuple[str, ...] = Field((), description="mqtts://host:port under which terminals reach the broker.")

    broker: str = Field("mqtt://127.0.0.1:1883", description="mqtt://host:port or mqtts://host:port.")
    mqtt_version: Literal["5", "3.1.1"] = Field("5", description="3.1.1 for brokers that speak nothing newer.")
    mqtt_client_id: str | None = Field(
        None,
        max_length=64,
        description="Distinct for every collector; made of host name and port where it is not given.",
    )
    mqtt_share: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Name of the shared subscription: the same for all collectors on one database.",
    )
    mqtt_username: str | None = None
    mqtt_password: SecretStr | None = None
    mqtt_ca: Path | None = Field(None, description="CA certificate that signed the broker's.")
    mqtt_certificate: Path | None = Field(None, description="Client certificate, with mqtt_key.")
    mqtt_key: Path | None = None

    # A transaction costs as much as sixty events, and a full one holds the lock for a tenth of a second; 20 ms is the
    # worker's price for sharing one.
    batch_messages: int = Field(512, ge=1, le=4096, description="Messages in one transaction at most.")
    batch_wait_ms: int = Field(20, ge=0, le=1000, description="Milliseconds to wait for a batch to fill.")
    opener_process: bool = Field(
        default=True,
        description="Read and check large batches in a process of its own, started by the first of them.",
    )
    staged_per_device: int = Field(
        2000, ge=1, description="Events of one device that may wait for a gap; twenty windows of a terminal."
    )
    dead_letters_per_source: int = Field(500, ge=1, description="Dead letters kept of one device, then only counted.")
    dead_letters_kept: int = Field(10_000, ge=1, description="Dead letters kept in all, then only counted.")
    ledger_origin: str | None = Field(
        None, description="The ledger's name in its checkpoints, as example.org/ledger; fixed by the first one."
    )
    # What came after the newest checkpoint can still be changed unseen, so this is a matter of seconds.
    checkpoint_every_s: float = Field(
        2.0, ge=0.1, le=60, description="Seconds between checkpoints, while entries come."
    )
    witnesses: list[WitnessSetting] = Field(default_factory=list, description="Who cosigns the checkpoints.")
    witnesses_needed: int = Field(
        0, ge=0, le=16, description="Cosignatures that a checkpoint must have before it is shown to anybody."
    )
    tsa_url: str | None = Field(None, pattern=r"^https?://", description="RFC 3161 authority that stamps checkpoints.")
    tsa_ca: Path | None = Field(None, description="Root certificates of that authority, PEM.")
    anchor_every_s: float = Field(3600, ge=1, description="Seconds between time-stamps, while entries come.")
    inactivity_timeout_s: int = Field(600, ge=10, description="Silence after which a device counts as inactive.")

    retention_days: int = Field(
        730, ge=0, description="Days that ledger entries about a worker stay before an erasure takes them."
    )

    @field_validator("broker")
    @classmethod
    def _broker_is_a_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("write mqtt://host:port or mqtts://host:port")
        return value

    @field_validator("database")
    @classmethod
    def _database_is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in ("postgresql", "postgres"):
            raise ValueError("write postgresql://user:password@host/name")
        return value

    @property
    def mqtt_client(self) -> str:
        """The MQTT client id: the same after a restart, another one for every collector of a shared subscription."""
        if self.mqtt_client_id is not None:
            return self.mqtt_client_id
        if self.mqtt_share is None:
            return "zaigang-collector"
        return f"zaigang-{socket.gethostname()[:40]}-{self.port}"

    @field_validator("public_url")
    @classmethod
    def _public_url_is_https(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://unset")
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
            raise ValueError("write https://host:port")
        return value

    @field_validator("public_brokers")
    @classmethod
    def _public_brokers_are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            cls._broker_is_a_url(one)
        return value

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.data / "collector.sqlite"

    @model_validator(mode="after")
    def _attested_as_wanted(self) -> Settings:
        if self.witnesses_needed > len({one.key for one in self.witnesses}):
            raise ValueError("witnesses_needed is more than there are witnesses: nothing would ever be shown")
        if (self.tsa_url is None) != (self.tsa_ca is None):
            raise ValueError("tsa_url and tsa_ca go together: a time-stamp that nobody can check is worth nothing")
        return self

    @property
    def keepsake_path(self) -> Path:
        """The file that remembers the last checkpoint."""
        return self.data / "last-checkpoint"

    @property
    def erasures_path(self) -> Path:
        """What was erased, so that no restored backup brings it back: keep it with the newest backup, not in it."""
        return self.data / "erasures.jsonl"

    @property
    def keys_path(self) -> Path:
        """The folder of the collector's own keys."""
        return self.data / "keys"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the file's path comes with the class that `load_settings` makes."""
        if cls.toml_path is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.toml_path)


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings; an override of None counts as not given. Raises SettingsError with every wrong field."""
    if config is not None and not config.is_file():
        raise SettingsError(f"there is no settings file {config}")
    source = type("FileSettings", (Settings,), {"toml_path": config, "__doc__": Settings.__doc__})
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        loaded: Settings = source(**given)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SettingsError(f"the settings are wrong: {wrong}") from error
    return loaded

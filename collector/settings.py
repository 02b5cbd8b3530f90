"""The collector's settings: defaults, then a TOML file, then ZAIGANG_COLLECTOR_* variables, then the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from collector.errors import SettingsError


class Settings(BaseSettings):
    """Everything that can be set; each field's comment gives its reason."""

    model_config = SettingsConfigDict(env_prefix="ZAIGANG_COLLECTOR_", extra="forbid", frozen=True)
    toml_path: ClassVar[Path | None] = None

    data: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "zaigang" / "collector",
        description="Folder of the database and the keys.",
    )
    host: str = Field("127.0.0.1", description="Address that the API and the console listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Their TCP port.")
    console: bool = Field(default=True, description="Serve the console pages beside the API.")

    broker: str = Field("mqtt://127.0.0.1:1883", description="mqtt://host:port or mqtts://host:port.")
    mqtt_version: Literal["5", "3.1.1"] = Field("5", description="3.1.1 for brokers that speak nothing newer.")
    mqtt_client_id: str = Field("zaigang-collector", max_length=64, description="Distinct for every replica.")
    mqtt_username: str | None = None
    mqtt_password: SecretStr | None = None
    mqtt_ca: Path | None = Field(None, description="CA certificate that signed the broker's.")
    mqtt_certificate: Path | None = Field(None, description="Client certificate, with mqtt_key.")
    mqtt_key: Path | None = None

    # Beyond 256 the transaction is already far longer than its fsync; 20 ms is the worker's price for sharing one.
    batch_messages: int = Field(256, ge=1, le=4096, description="Messages in one transaction at most.")
    batch_wait_ms: int = Field(20, ge=0, le=1000, description="Milliseconds to wait for a batch to fill.")
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
    inactivity_timeout_s: int = Field(600, ge=10, description="Silence after which a device counts as inactive.")

    @field_validator("broker")
    @classmethod
    def _broker_is_a_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("write mqtt://host:port or mqtts://host:port")
        return value

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.data / "collector.sqlite"

    @property
    def keepsake_path(self) -> Path:
        """The file that remembers the last checkpoint."""
        return self.data / "last-checkpoint"

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

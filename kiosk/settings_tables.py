"""The tables of a terminal's settings: the site's fence, what is built into the case, presence by badge."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kiosk.breaks import parse_break


class FenceSettings(BaseModel):
    """The circle in which the terminal stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latitude: float = Field(ge=-90, le=90)  # degrees, WGS 84
    longitude: float = Field(ge=-180, le=180)
    radius_m: int = Field(gt=0, le=100_000)

    @property
    def latitude_e7(self) -> int:
        """Latitude in units of 1e-7 degrees."""
        return round(self.latitude * 10_000_000)

    @property
    def longitude_e7(self) -> int:
        """Longitude in units of 1e-7 degrees."""
        return round(self.longitude * 10_000_000)


Gpio = Annotated[int, Field(ge=2, le=27)]  # BCM numbers on the 40-pin header; 0 and 1 belong to HATs


class EnclosureSettings(BaseModel):
    """GPIO pins of what is built into the case; each may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tamper_pin: Gpio | None = None  # a loop to ground, closed while the case is closed
    green_pin: Gpio | None = None
    red_pin: Gpio | None = None
    buzzer_pin: Gpio | None = None

    @model_validator(mode="after")
    def _one_thing_a_pin(self) -> Self:
        pins = [pin for pin in (self.tamper_pin, self.green_pin, self.red_pin, self.buzzer_pin) if pin is not None]
        if len(set(pins)) != len(pins):
            raise ValueError("each pin serves one thing")
        return self


class PresenceSettings(BaseModel):
    """Presence by badge (docs/presence.md): when and how long a worker's badge is noted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_shift_hours: int = Field(default=12, ge=1, le=24)  # after IN; a forgotten OUT must not follow anybody home
    breaks: tuple[str, ...] = ()  # "12:00-13:00", in the site's local time: nothing is noted then

    @field_validator("breaks")
    @classmethod
    def _breaks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            parse_break(one)
        return value


class TransferSettings(BaseModel):
    """Faces to and from the site's other terminals (docs/transfer.md): the table being there switches it on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask_at_enrolment: bool = True  # the screen asks whoever has just been enrolled with a face

"""Workers, and the signed permissions to enrol their faces."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from sqlmodel import col, select

from collector.database import Database
from collector.devices.models import Device
from collector.errors import Conflict, Invalid, NotFound
from collector.people.models import Authorisation, Enrolment, TemplateErasure, Worker
from collector.timestamps import utc_now, utc_text
from evidence.authorisation import EnrolmentAuthorisation, sign_authorisation
from evidence.events import Role, WorkerCode
from evidence.keys import SigningKey

MAX_AUTHORISATION = timedelta(days=31)  # an enrolment that has not happened within a month is decided afresh


class WorkerBody(BaseModel):
    """What an administrator says of a worker."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, description="Name for people.")]
    active: Annotated[bool, Field(description="False: has left.")] = True


class NewWorker(WorkerBody):
    """A worker and the employee code that badges and events carry."""

    # The schema leaves the pattern out: its Unicode classes are not in every language's regular expressions.
    code: Annotated[WorkerCode, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64})]


class People:
    """The workers of one collector."""

    def __init__(self, database: Database, command_key: SigningKey) -> None:
        self._database = database
        self._command_key = command_key

    def add(self, new: NewWorker) -> Worker:
        """Add a worker. Raises Conflict if the code is taken."""
        with self._database.write() as session:
            if session.get(Worker, new.code) is not None:
                raise Conflict(f"there is a worker {new.code} already")
            worker = Worker(code=new.code, name=new.name, active=new.active, added_at=utc_now())
            session.add(worker)
        return worker

    def change(self, code: str, body: WorkerBody) -> Worker:
        """Replace what is said of a worker. Raises NotFound."""
        with self._database.write() as session:
            worker = session.get(Worker, code)
            if worker is None:
                raise NotFound(f"there is no worker {code}")
            worker.name, worker.active = body.name, body.active
        return worker

    def get(self, code: str) -> Worker:
        """Return one. Raises NotFound."""
        with self._database.read() as session:
            worker = session.get(Worker, code)
        if worker is None:
            raise NotFound(f"there is no worker {code}")
        return worker

    def page(self, after: str | None, limit: int) -> list[Worker]:
        """Return workers by code, those after `after`."""
        with self._database.read() as session:
            query = select(Worker).order_by(col(Worker.code)).limit(limit)
            if after is not None:
                query = query.where(col(Worker.code) > after)
            return list(session.exec(query))

    def names(self, codes: set[str]) -> dict[str, str]:
        """Return the names of those codes that belong to a worker."""
        with self._database.read() as session:
            return {w.code: w.name for w in session.exec(select(Worker).where(col(Worker.code).in_(codes)))}

    def enrolments(self, code: str) -> list[Enrolment]:
        """Return at which terminals a worker's template lies, oldest first."""
        with self._database.read() as session:
            query = select(Enrolment).where(Enrolment.worker == code).order_by(col(Enrolment.leaf_index))
            return list(session.exec(query))

    def erased_at(self, enrolments: Sequence[Enrolment]) -> dict[str, str]:
        """Return when terminals proved that these enrolments are gone from them: by authorisation, event time."""
        by_id = {one.authorisation: one.device for one in enrolments}
        query = select(TemplateErasure).where(col(TemplateErasure.enrolment).in_(by_id))
        found: dict[str, str] = {}
        with self._database.read() as session:
            for one in session.exec(query.order_by(col(TemplateErasure.leaf_index))):
                if one.enrolment is not None and by_id[one.enrolment] == one.device:  # another has nothing to say of it
                    found.setdefault(one.enrolment, one.time)
        return found

    def authorise(
        self, code: str, device: str, by: str, hours: float, role: Role = "worker"
    ) -> tuple[EnrolmentAuthorisation, bytes]:
        """Sign a permission to enrol this worker once at this terminal; return it and its encoded envelope.

        Enrolled as `supervisor`, the worker may then confirm and enrol others there.
        Raises NotFound, Conflict for a worker who has left or a revoked terminal, Invalid for an odd time.
        """
        if not timedelta(0) < timedelta(hours=hours) <= MAX_AUTHORISATION:
            raise Invalid(f"an authorisation holds for more than 0 hours and at most {MAX_AUTHORISATION.days} days")
        now = datetime.now(UTC)
        with self._database.write() as session:
            worker, terminal = session.get(Worker, code), session.get(Device, device)
            if worker is None or terminal is None:
                raise NotFound(f"there is no worker {code}" if worker is None else f"there is no device {device}")
            if not worker.active or terminal.revoked_at is not None:
                raise Conflict(f"{code} has left" if not worker.active else f"{device} is revoked")
            permission = EnrolmentAuthorisation(
                id=secrets.token_hex(16),
                worker=code,
                name=worker.name,
                device=device,
                site=terminal.site,
                authorised_by=by,
                expires=utc_text(now + timedelta(hours=hours)),
                role=role,
            )
            row = permission.model_dump(include={"id", "worker", "device", "authorised_by", "expires"})
            session.add(Authorisation(**row, signed_at=utc_text(now)))
        return permission, sign_authorisation(permission, self._command_key)

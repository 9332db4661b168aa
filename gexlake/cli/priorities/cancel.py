"""``gexlake cancel``: cancel a job that no worker has, by its own id or by that of its request."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from gexlake.cli.errors import RequestRefused
from gexlake.cli.intake_client import Intake
from gexlake.cli.job_ids import whole_id
from gexlake.cli.settings import CliSettings
from gexlake.environment import load

_NOT_FOUND: Final = 404


def cancel(
    any_id: Annotated[
        str, typer.Argument(metavar="ID", help="The job's id, or the start of it, or its request's id.")
    ],
    reason: Annotated[str | None, typer.Option(help="Why; the job and the ledger show it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Cancel a job that has not begun, or that waits for another attempt."""
    with Intake(load(CliSettings)) as intake:
        answer = _cancelled(intake, any_id, reason)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        typer.echo(f"{answer.get('status', 'cancelled')}: job {answer.get('job_id')}")


def _cancelled(intake: Intake, any_id: str, reason: str | None) -> dict[str, Any]:
    job_id = whole_id(intake, any_id)
    try:
        return intake.cancel_job(job_id, reason)
    except RequestRefused as error:
        if error.status != _NOT_FOUND:
            raise
    return intake.cancel_request(job_id, reason)

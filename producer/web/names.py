"""Checks names in addresses before anything is looked up by them."""

from __future__ import annotations

from starlette.requests import Request

from producer.contract import check_job_id


def batch_asked(request: Request) -> str:
    """Return the batch in the address; raises ``InvalidJob`` for an invalid name."""
    return check_job_id(str(request.path_params["batch"]), what="batch")

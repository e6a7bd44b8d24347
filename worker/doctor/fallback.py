"""The cloud model of FALLBACK_MODEL: its settings, endpoint, key and model.

Asks for the endpoint's list of models, which costs nothing; a question would. Neither the key nor the endpoint's text,
which may contain it, is shown.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any, Final, cast

import httpx

from producer.contract.distribution import install_hint
from producer.errors import SettingsError
from worker.doctor.line import Line, error, ok, warning
from worker.models.routing import fallback_settings
from worker.settings import WorkerSettings

SUBJECT: Final = "FALLBACK_MODEL"
TIMEOUT_S: Final = 10.0
_OK, _UNAUTHORISED, _FORBIDDEN = 200, 401, 403


async def fallback_lines(settings: WorkerSettings) -> tuple[Line, ...]:
    """Return the line of the fallback, if there is one."""
    if not settings.fallback_model:
        return ()
    try:
        key = fallback_settings(settings)
    except SettingsError as wrong:
        text, _, todo = str(wrong).rpartition(": ")
        return (error(SUBJECT, text, f"workers do not start with it: {todo}"),)
    if find_spec("langchain_openai") is None:
        return (error(SUBJECT, "the package for it is not installed", f"{install_hint('cloud')}; or unset it"),)
    if not settings.fallback_share:
        return (warning(SUBJECT, "FALLBACK_SHARE is 0: no call may go there", "raise FALLBACK_SHARE, or unset it"),)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, headers=headers) as client:
            answer = await client.get(f"{settings.fallback_base_url.rstrip('/')}/models")
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as failure:
        text = f"{settings.fallback_base_url} does not answer ({type(failure).__name__})"
        return (warning(SUBJECT, text, "check FALLBACK_BASE_URL and the network"),)
    return (fallback_line(settings, answer.status_code, answer.content),)


def fallback_line(settings: WorkerSettings, status: int, body: bytes) -> Line:
    """Return the line for the reply with the models. Pure."""
    name, where = settings.fallback_model, settings.fallback_base_url
    if status in {_UNAUTHORISED, _FORBIDDEN}:
        return warning(SUBJECT, f"{where} refuses the key", "correct FALLBACK_API_KEY, or its file")
    names = _names(body) if status == _OK else None
    if names is None:
        todo = "ask a complex question with 'sightline ask'; cloud.* events in the log show the outcome"
        return warning(SUBJECT, f"{where} does not list its models (HTTP {status}), so {name!r} is unverified", todo)
    if name not in names:
        return warning(SUBJECT, f"{name!r} is not among the {len(names):,} models of {where}", "correct FALLBACK_MODEL")
    share = f"up to {settings.fallback_share:.0%} of a day's chat calls go there"
    return ok(SUBJECT, f"{name!r} is available at {where}: {share}")


def _names(body: bytes) -> frozenset[str] | None:
    try:
        listed: Any = json.loads(body)["data"]
        return frozenset(str(cast("dict[str, Any]", item)["id"]) for item in listed)
    except (ValueError, RecursionError, KeyError, TypeError):
        return None

"""Every failure of a call to an OpenAI-compatible endpoint, as a ``ModelError`` without the key."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import httpx
import openai

from producer.errors import (
    AnswerIncomplete,
    ContextExceeded,
    ModelBusy,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelTimeout,
    ModelUnreachable,
)
from worker.models.ollama.errors import MISSHAPEN, message_line

_OVER_CONTEXT: Final = ("context_length", "context length", "maximum context", "too many tokens")
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 401, 403, 404, 429


@contextmanager
def cloud_errors(host: str, model: str, *, secret: str, limit: str) -> Generator[None]:
    """Raise ``ModelError`` instead of the libraries' errors; no message contains ``secret``, nor a part of it."""
    try:
        yield
    except (openai.OpenAIError, httpx.HTTPError, TimeoutError, *MISSHAPEN) as error:
        # From None: the library's error may quote the key.
        raise _ours(error, f"model {model!r} at {host!r}", limit, secret) from None


def words_without(secret: str, text: str) -> str:
    """Return an endpoint's words on one line, with ``secret`` removed before they are cut."""
    return message_line(text.replace(secret, "…") if secret else text)


def _ours(error: Exception, who: str, limit: str, secret: str) -> ModelError:
    match error:
        case openai.APITimeoutError() | httpx.TimeoutException() | TimeoutError():
            return ModelTimeout(f"{who} did not answer within {limit}")
        case openai.APIStatusError():
            return _of_status(error, who, secret)
        case openai.APIConnectionError() if isinstance(error.__cause__, httpx.ConnectError):
            return ModelUnreachable(f"{who} cannot be reached: check FALLBACK_BASE_URL and the network")
        case openai.APIConnectionError() | httpx.HTTPError():
            return AnswerIncomplete(f"{who} dropped the connection before its answer was complete")
        case openai.APIError():
            return ModelError(f"{who} failed during its answer: {words_without(secret, error.message)}")
        case _:
            return AnswerIncomplete(f"{who} gave an invalid answer: {words_without(secret, str(error))}")


def _of_status(error: openai.APIStatusError, who: str, secret: str) -> ModelError:
    status, said = error.status_code, words_without(secret, error.message)
    if status in {_UNAUTHORISED, _FORBIDDEN}:
        return ModelRefused(f"{who} refuses the key ({status}): check FALLBACK_API_KEY or FALLBACK_API_KEY_FILE")
    if any(words in said.lower() for words in _OVER_CONTEXT):
        return ContextExceeded(f"{who} rejects the prompt as too long: {said}")
    if status == _NOT_FOUND:
        return ModelMissing(f"{who} was not found (404): check FALLBACK_MODEL and FALLBACK_BASE_URL")
    if status == _TOO_MANY:
        return ModelBusy(f"{who} accepts no more calls now (429): {said}")
    if status >= 500:  # noqa: PLR2004  the server-error statuses of RFC 9110
        return ModelError(f"{who} failed ({status}): {said}")
    return ModelRefused(f"{who} refuses the request ({status}): {said}")

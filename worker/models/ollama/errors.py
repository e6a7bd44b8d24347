"""Every failure of a call to Ollama, as a ``ModelError``. The only place that knows the libraries' errors.

Observed with langchain-ollama 1.1 and ollama 0.6: an error status is a ``ResponseError`` with that status, an error
within a stream one with -1; a refused connection is ``httpx.ConnectError`` from chat and ``ConnectionError`` from
embed; a dropped one ``httpx.RemoteProtocolError``; half a line of JSON is a ``ValueError``; a line that is JSON of
another shape is whatever exception its parsing raises.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import httpx
from ollama import RequestError, ResponseError

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
from producer.reports.plain_text import one_line

_MAX_CHARS: Final = 300
_OVER_CONTEXT: Final = ("context length", "context size", "exceed_context", "n_ctx")
"""Words in the servers' messages about a prompt that is too long; the wording differs between releases."""
MISSHAPEN: Final = (LookupError, ValueError, TypeError, AttributeError, RecursionError, MemoryError)
"""Exceptions from parsing an answer of the wrong form.

The last two come from text nested too deeply: in a tool call's arguments, langchain-ollama reads each text as JSON and
then as Python, where thousands of dashes are nested signs.
"""
_UNAUTHORISED: Final = frozenset({401, 403})
_NOT_FOUND, _TOO_MANY, _BAD_GATEWAY, _UNAVAILABLE, _GATEWAY_TIMEOUT = 404, 429, 502, 503, 504


@contextmanager
def model_errors(host: str, model: str, *, limit: str = "the time given") -> Generator[None]:
    """Raise ``ModelError`` instead of the libraries' errors; ``limit`` is the exceeded limit of a ``TimeoutError``."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _of_status(error.response.status_code, error.response.reason_phrase, host, model) from error
    except ResponseError as error:
        raise _of_status(error.status_code, str(error.error), host, model) from error
    except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
        raise unreachable(host) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        msg = f"{_named(model)}{host!r} did not answer within {limit}: check the host's load and log"
        raise ModelTimeout(msg) from error
    except httpx.TransportError as error:
        msg = f"{_named(model)}{host!r} dropped the connection before its answer was complete ({type(error).__name__})"
        raise AnswerIncomplete(msg) from error
    except (httpx.InvalidURL, RequestError) as error:
        msg = f"{_named(model)}{host!r} cannot be called: {message_line(str(error))}"
        raise ModelRefused(msg) from error
    except (*MISSHAPEN, httpx.RequestError) as error:
        msg = f"{_named(model)}{host!r} gave an invalid answer: {message_line(str(error))}"
        raise AnswerIncomplete(msg) from error


def unreachable(host: str) -> ModelUnreachable:
    """Return the error of a host where nothing listens."""
    return ModelUnreachable(
        f"no Ollama answers at {host!r}: start it there, or set OLLAMA_BASE_URL or CHAT_MODEL=builtin"
    )


def missing(host: str, model: str) -> ModelMissing:
    """Return the error of a model that is not on the host, with the command to run."""
    return ModelMissing(f"model {model!r} is not on {host!r}; run there: ollama pull {model}")


def message_line(text: str) -> str:
    """Return a server's message as one line."""
    return one_line(text, limit=_MAX_CHARS) or "no message"


def _of_status(status: int, said: str, host: str, model: str) -> ModelError:
    said = message_line(said)
    if any(words in said.lower() for words in _OVER_CONTEXT):
        return ContextExceeded(f"{_named(model)}{host!r} rejects the text as too long for its context: {said}")
    if status in _UNAUTHORISED:  # its token may have expired: waiting calls are retried with the next one
        return ModelUnreachable(
            f"{_named(model)}{host!r} refuses the login ({status}): {said}; renew the token in OLLAMA_TOKEN_FILE, "
            f"which is read for each call"
        )
    if status == _NOT_FOUND and model:
        return missing(host, model)
    if status in {_TOO_MANY, _UNAVAILABLE}:
        return ModelBusy(f"{_named(model)}{host!r} is overloaded ({status}): {said}")
    if status in {_BAD_GATEWAY, _GATEWAY_TIMEOUT}:
        return ModelUnreachable(f"{_named(model)}{host!r} has no Ollama behind its proxy ({status})")
    if 400 <= status < 500:  # noqa: PLR2004  the client-error statuses of RFC 9110
        return ModelRefused(f"{_named(model)}{host!r} refuses the request ({status}): {said}")
    where = "during its answer" if status < 0 else f"({status})"
    return ModelError(f"{_named(model)}{host!r} failed {where}: {said}; its log says more")


def _named(model: str) -> str:
    return f"model {model!r} on " if model else ""

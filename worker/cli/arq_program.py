"""``sightline worker module.WorkerSettings``: runs, checks or watches a program written for arq."""

from __future__ import annotations

import asyncio
import logging.config
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import click
from arq.logs import default_log_config
from arq.worker import check_health
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.errors import DependencyMissing, RedisUnreachable, SettingsError
from worker.queue.arq_worker import create_worker, run_worker


def run_program(
    path: str, *, burst: bool, check: bool, watch: str | None, log_dict: str | None = None, **options: Any
) -> int:
    """Run the worker of the class at ``path`` and return the exit code.

    Raises ``SettingsError`` without that class, and ``RedisUnreachable`` if its Redis cannot be reached at the start.
    """
    sys.path.insert(0, str(Path.cwd()))
    settings = load_settings(path)
    try:
        if check:
            return check_health(settings)
        return _run(settings, burst=burst, watch=watch, log_dict=log_dict, **options)
    except (RedisConnectionError, RedisTimeoutError) as error:
        msg = f"the Redis of {path!r} cannot be reached: {error}; start it, or correct redis_settings"
        raise RedisUnreachable(msg) from error


def _run(settings: type, *, burst: bool, watch: str | None, log_dict: str | None, **options: Any) -> int:
    if watch is not None and not Path(watch).is_dir():
        msg = f"--watch is {watch!r}: expected a folder whose changes restart the worker"
        raise SettingsError(msg)
    logging.config.dictConfig(default_log_config(verbose=False) if log_dict is None else load_log_dict(log_dict))
    if burst:
        options["burst"] = True
    if watch is None:
        run_worker(settings, **options)
    else:
        asyncio.run(_watch(watch, settings, options))
    return 0


def load_settings(path: str) -> type:
    """Return the class that ``path`` names, as ``module.Name``."""
    found = _load("SETTINGS", path)
    if not isinstance(found, type):
        msg = f"SETTINGS is {path!r}, a {type(found).__name__}: expected a class with arq's options"
        raise SettingsError(msg)
    return found


def load_log_dict(path: str) -> dict[str, Any]:
    """Return the dict for ``logging.config.dictConfig`` that ``path`` names."""
    found = _load("--custom-log-dict", path)
    if not isinstance(found, dict):
        msg = f"--custom-log-dict is {path!r}: expected a dict for logging.config.dictConfig"
        raise SettingsError(msg)
    return cast("dict[str, Any]", found)


def _load(option: str, path: str) -> object:
    module_path, _, name = path.replace(":", ".").rpartition(".")
    if not module_path:
        msg = f"{option} is {path!r}: expected a module and a name in it, such as tasks.WorkerSettings"
        raise SettingsError(msg)
    try:
        return getattr(import_module(module_path), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_path}.".startswith(f"{error.name}."):
            raise
        msg = f"{option} is {path!r}: there is no module {error.name!r} in {str(Path.cwd())!r} or on the Python path"
        raise SettingsError(msg) from None
    except AttributeError:
        msg = f"{option} is {path!r}: module {module_path!r} has no {name!r}"
        raise SettingsError(msg) from None


async def _watch(folder: str, settings: type, options: dict[str, Any]) -> None:
    """Run the worker, and run it again whenever a file of ``folder`` changes, as ``arq --watch`` does."""
    try:
        awatch = import_module("watchfiles").awatch
    except ImportError as error:
        msg = "--watch needs watchfiles: pip install watchfiles"
        raise DependencyMissing(msg) from error
    stop = asyncio.Event()
    worker = create_worker(settings, **options)
    worker.on_stop = lambda _: stop.set()
    running = asyncio.ensure_future(worker.async_run())
    try:
        async for _ in awatch(folder, stop_event=stop):
            click.echo("files changed, restarting the worker")
            await worker.close()
            await asyncio.gather(running, return_exceptions=True)
            worker = create_worker(settings, **options)
            worker.on_stop = lambda _: stop.set()
            running = asyncio.ensure_future(worker.async_run())
    finally:
        await worker.close()

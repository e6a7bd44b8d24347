"""arq's names for programs written for arq, on a reliable stream. ``docs/arq.md`` lists the differences.

::

    from sightline.arq import create_pool, run_worker          # instead of arq.create_pool, arq.run_worker
    from sightline.arq import StreamWorker, StreamPool         # instead of arq.Worker, arq.ArqRedis
"""

from __future__ import annotations

try:
    from arq.jobs import Job

    from worker.queue.arq_pool import StreamPool, create_pool
    from worker.queue.arq_wire import environment_of
    from worker.queue.arq_worker import ArqWorker as StreamWorker
    from worker.queue.arq_worker import create_worker, run_worker
except ModuleNotFoundError as error:
    if error.name == "arq":
        from producer.contract.distribution import install_hint

        msg = f"sightline.arq needs the worker's packages: {install_hint('worker')}"
        raise ImportError(msg) from error
    raise

Worker = StreamWorker
ArqRedis = StreamPool

__all__ = [
    "ArqRedis",
    "Job",
    "StreamPool",
    "StreamWorker",
    "Worker",
    "create_pool",
    "create_worker",
    "environment_of",
    "run_worker",
]

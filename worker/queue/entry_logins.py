"""Resubmits scans that were added by hand with a name and password in the address, before they start.

Entries and job hashes are kept for days, secret hashes are not. So the password moves to the secret hash, as with the
client, and the entry is deleted. Called by ``stream.py``; see ``producer/client/submission.py`` for submissions.
"""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.submission import SUBMIT, Submission, prepare, read_answer
from producer.contract import WIRE_VERSION, decode_payload
from producer.errors import InvalidJob, JobTooLarge, RedisUnsuitable
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import load_script, run_script
from worker.queue.delivery import Entry, NotStarted, decode_args

DROP: Final = load_script("worker.queue", "drop_entry")
NO_LIMIT: Final = 1 << 53
"""No limit, since the job is in the lane already."""


def may_have_login(entry: Entry) -> bool:
    """Return whether an entry accepted by ``check_entry`` is a scan added by hand whose address has an ``@``.

    Entries of a newer release are left to a newer worker.
    """
    payload = entry.fields.get(b"payload")
    if entry.kind != "scan" or not payload or int(entry.fields.get(b"v", b"1")) > WIRE_VERSION:
        return False
    return "@" in str(decode_payload(payload).get("url", ""))


async def resubmit(entry: Entry, redis: Redis, pipe: ScriptPipe, keys: Keys) -> NotStarted | None:
    """Submit the entry's job under its id and drop the entry; None if a job with that id exists, which is kept.

    Safe to repeat. Returns ``invalid`` for anything but a scan request. Raises redis-py's errors, after which the entry
    is reclaimed.
    """
    try:
        submission = _submission(entry)
    except (InvalidJob, JobTooLarge) as error:
        return NotStarted("invalid", str(error))
    args = submission.args_of(backlog_limit=NO_LIMIT, memory_share=0)
    reply = await pipe.call(SUBMIT, submission.keys(keys), args)
    try:
        if not read_answer(submission, reply, keys).created:
            return None
    except RedisUnsuitable as error:
        raise ResponseError(str(error)) from None
    await run_script(redis, DROP, [keys.lane(entry.lane)], [GROUP, entry.id])
    return NotStarted("resubmitted")


def _submission(entry: Entry) -> Submission:
    payload, args = decode_payload(entry.fields[b"payload"]), decode_args(entry.fields.get(b"args", b""))
    return prepare("scan", payload, job_id=entry.job_id, lane=entry.lane, args=args)

"""``sightline doctor``: its options. What it does is in ``doctor_command.py``."""

from __future__ import annotations

import click


@click.command()
@click.option("--cache", is_flag=True, help="Show how far apart the embedding model puts paraphrases.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON each.")
def doctor(*, cache: bool, as_json: bool) -> int:
    """Check everything Sightline depends on and say how to fix what is wrong.

    Nothing is changed. The exit code is 0, or 3 if there is an error. --cache shows the cosine distances between
    questions that ask the same, and between some that do not, for choosing the cache's threshold.

    \b
    sightline doctor
    sightline doctor --cache
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.doctor_command import compare_paraphrases, look_at_all  # noqa: PLC0415  --help needs none of it

    return compare_paraphrases(as_json=as_json) if cache else look_at_all(as_json=as_json)

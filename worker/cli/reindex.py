"""``sightline reindex``: its options. What it does is in ``reindex_command.py``."""

from __future__ import annotations

import click


@click.command()
@click.option("--to", "model", required=True, metavar="MODEL", help="Ollama's name of the new model, or builtin.")
@click.option("--json", "as_json", is_flag=True, help="Progress and outcome as lines of JSON.")
def reindex(*, model: str, as_json: bool) -> None:
    """Make the vectors of all scans and memories anew, with another embedding model.

    Workers go on meanwhile: what they write gets vectors of both models, and searches use the old one until all is
    done. Then all of them change at once, without a restart. Stopped or killed, the command goes on where it was when
    it is run again. To give a change up, name the model that is in use.

    \b
    sightline reindex --to nomic-embed-text
    nohup sightline reindex --to mxbai-embed-large --json >reindex.log 2>&1 &
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli.reindex_command import move_to  # noqa: PLC0415  --help needs none of it

    move_to(model, as_json=as_json)

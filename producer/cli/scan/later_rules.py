"""The gate of ``sightline.toml`` for ``sightline result``, so that a later report judges as the run did.

Waivers, ``fail_on``, ``strict``, ``rules``, ``report_only`` and ``count_review`` apply; limits, baselines and reports
belong to the run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from producer.cli.ci import say
from producer.cli.connect import environment
from producer.cli.scan.by_file import Wanted, without_faults
from producer.cli.scan.command import scan
from producer.cli.scan.file_rules import FileRules, file_rules
from producer.cli.scan.limits import Limits
from producer.cli.scan.option_keys import option_keys
from producer.cli.scan.options import ScanOptions
from producer.config.options import given
from producer.config.reading import read_config


def later_rules(path: Path) -> tuple[dict[str, Any], FileRules]:
    """Return ``fail_on`` and ``strict``, if the file sets them, and its waivers.

    Prints the errors of the file and raises ``InputError`` for them.
    """
    config = without_faults(read_config(path, option_keys(scan), environment()))
    of_file = {name: value for name, value in given(config.document.gate).items() if name in {"fail_on", "strict"}}
    say(f"waivers and gate of {config.shown}")
    return of_file, replace(file_rules(Wanted(ScanOptions(), config=config)), limits=Limits())

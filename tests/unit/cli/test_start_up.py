"""Start-up: commands import modules on demand, and name missing packages."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import click
import pytest

from producer import contract
from producer.cli import main
from producer.cli.scan.options import LANES, STANDARDS
from producer.cli.scan.report_options import FAIL_ON
from producer.contract import Impact, ScanRequest, distribution
from producer.contract.distribution import install_hint
from producer.contract.terms import SUBMITTED
from producer.errors import DependencyMissing
from tests.support.helps import helps_of

CLIENT_COMMANDS = sorted(main._COMMANDS)
HEAVY = ("arq", "langgraph", "langchain_core", "redisvl", "playwright", "structlog", "worker")


def loaded_by(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_commands_help_loads_click_and_nothing_else() -> None:
    unwanted = {"redis", "pydantic", "rich", "asyncio", "jinja2", *HEAVY}

    helps = dict(helps_of([name] for name in CLIENT_COMMANDS))

    assert [*helps] == CLIENT_COMMANDS
    assert {name: loaded for name, one in helps.items() if (loaded := one.packages & unwanted)} == {}


def test_no_module_of_the_client_s_command_line_imports_anything_of_a_worker() -> None:
    found = loaded_by(
        "from importlib import import_module as load\nfrom pkgutil import walk_packages\nimport producer.cli as top\n"
        "for one in walk_packages(top.__path__, 'producer.cli.'): load(one.name)"
    )

    assert "rich" in found, "not all were imported"
    assert not found & set(HEAVY)


@pytest.fixture(scope="module")
def floor() -> set[str]:
    """What comes with the two packages that every command stands on."""
    return loaded_by("import click, redis.asyncio, hiredis")


def test_a_library_client_loads_no_pydantic_until_it_has_a_use_for_it(floor: set[str]) -> None:
    loaded = loaded_by("from producer import BlockingClient, Client\nfrom producer.settings import ClientSettings")

    assert loaded - floor - sys.stdlib_module_names == {"producer"}


def test_a_job_of_a_kind_of_your_own_is_prepared_without_pydantic() -> None:
    # The first submit of such a producer stood still for 60 ms while models were imported that it has no use for.
    loaded = loaded_by("from producer.client.submission import prepare\nprepare('mine', {'n': 1})")

    assert "pydantic" not in loaded


def test_the_kinds_that_are_said_to_have_a_model_have_one() -> None:
    assert set(contract.REQUESTS) == contract.KINDS_WITH_MODELS


def test_the_exit_collects_no_garbage_and_runs_registered_functions() -> None:
    script = (
        "import atexit, gc, sys\nfrom producer.cli.main import main\nsys.argv[1:] = ['--version']\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > len(sys.modules)))\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines()[-1] == "True"


def test_only_commands_of_a_worker_look_for_plugins_of_pydantic() -> None:
    script = (
        "import contextlib, os, sys\nfrom producer.cli.main import main\nfound = []\n"
        "for command in ('worker', 'scan'):\n"
        "    sys.argv[1:] = [command, '--help']\n"
        "    with contextlib.suppress(SystemExit): main()\n"
        "    found.append(os.environ.get('PYDANTIC_DISABLE_PLUGINS'))\nprint(found)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines()[-1] == "[None, '__all__']"


def test_what_only_some_runs_need_is_not_loaded_for_all() -> None:
    script = "import sys, producer.cli.scan.run, producer.cli.top, producer.cli.result\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ast.literal_eval(done.stdout))

    assert not loaded & {
        "producer.sitemaps.sitemap",
        "producer.sitemaps.robots",
        "producer.sitemaps.download",
        "protego",
        "rich.live",
    }
    assert not {name for name in loaded if name.startswith("producer.reports.")} & REPORTS


REPORTS = {f"producer.reports.{name}" for name in ("table", "html", "junit", "sarif", "markdown", "csv")}


def test_choices_are_those_of_the_contract() -> None:
    assert set(STANDARDS) == set(ScanRequest.model_fields["standard"].annotation.__args__)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]  # a Literal
    assert (*(impact.value for impact in Impact), "never") == FAIL_ON
    assert set(LANES) == {lane.value for lane in SUBMITTED}


def test_every_format_is_named_in_the_help_of_scan(capsys: pytest.CaptureFixture[str]) -> None:
    from producer.reports.formats import FORMATS  # noqa: PLC0415  beside its only use

    main.run(["scan", "--help"])

    text = " ".join(capsys.readouterr().out.split())
    assert f"Formats: {', '.join(FORMATS)}." in text


@pytest.fixture
def missing_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries() -> dict[str, Any]:
        return {"ghost": EntryPoint("ghost", "package_that_is_not_there.cli:ghost", main.ENTRY_POINTS)}

    monkeypatch.setattr(main, "_entry_points", entries)


@pytest.mark.usefixtures("missing_command")
def test_a_worker_command_without_its_packages_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.run(["ghost"])

    answer = capsys.readouterr()
    assert code == DependencyMissing.exit_code == 3
    assert install_hint("worker") in answer.err
    assert "Traceback" not in answer.err


def test_the_programs_help_loads_click_and_no_command() -> None:
    script = "import sys\nfrom producer.cli.main import run\nrun(['--help'])\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))

    assert {name for name in loaded if name.startswith(("producer.cli.", "worker"))} == {"producer.cli.main"}
    assert not loaded & {"importlib.metadata", "redis", "pydantic", "asyncio"}


def test_the_help_lists_every_command_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["--help"])

    listed = set(re.findall(r"^  (\w+)  +[A-Z]", capsys.readouterr().out.partition("Commands:")[2], re.MULTILINE))
    assert listed == {*main._COMMANDS, *main._entry_points()}


@pytest.mark.parametrize(("package", "is_said"), [("package_that_is_not_there", True), ("click", False)])
def test_the_help_says_how_to_install_the_commands_of_a_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, is_said: bool
) -> None:
    monkeypatch.setattr(distribution, "OF_THE_WORKER", package)

    main.run(["--help"])

    assert (f"To add them: {install_hint('worker')}" in capsys.readouterr().out) is is_said


def test_a_bug_is_not_mistaken_for_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_command(*_: object) -> click.Command:
        raise ModuleNotFoundError("No module named 'producer.gone'", name="producer.gone")

    monkeypatch.setattr(main.LazyGroup, "get_command", get_command)

    with pytest.raises(ModuleNotFoundError):
        main.run(["scan"])

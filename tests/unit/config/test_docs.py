"""docs/config.md: its examples are read without a fault, and it names every key; the schema is the one that is made."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from producer.cli.config import config
from producer.cli.scan.command import scan
from producer.cli.scan.option_keys import option_keys
from producer.config.model import document_model, tables_of
from producer.config.reading import read_config
from producer.config.schema import schema, schema_text
from producer.config.starter import starter

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/config.md").read_text()
OPTIONS = option_keys(scan)
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", [*EXAMPLES, starter("http://localhost:3000/"), starter("http://a.test/", "npm start")])
def test_an_example_has_no_faults_for_us_and_for_an_editor(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sightline.toml"
    file.write_text(text)

    assert [str(fault) for fault in read_config(file, OPTIONS, {}).faults] == []
    jsonschema.validate(json.loads(json.dumps(tomllib.loads(text), default=str)), schema(OPTIONS))


def test_the_page_names_every_key() -> None:
    keys = {
        field.alias or name
        for model in tables_of(document_model(OPTIONS)).values()
        for name, field in model.model_fields.items()
    }

    named = set(re.findall(r"`\[*([a-z_]+)\]*`", PAGE)) | set(re.findall(r"^## .*", PAGE, re.MULTILINE)[0].split())
    assert sorted(keys - named - {"scan", "site", "page", "gate", "max", "reports", "waiver", "start", "journey"}) == []


def test_the_schema_for_editors_is_the_one_that_is_made() -> None:
    kept = (ROOT / "ops/schemas/sightline.schema.json").read_text()

    assert kept == schema_text(OPTIONS), "run: sightline config schema > ops/schemas/sightline.schema.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(kept))


@pytest.mark.parametrize(
    "wrong",
    [{"scan": {"viewprt": "1x1"}}, {"scan": {"standard": "x"}}, {"gate": {"max": {"total": "1"}}}, {"page": [{}]}],
)
def test_the_schema_finds_the_same_errors_in_an_editor(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema(OPTIONS))


def test_config_init_check_and_show_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke

    assert run(config, ["init", "http://localhost:4173/", "--start", "npm run preview"]).exit_code == 0
    checked = run(config, ["check"]).output
    shown = json.loads(run(config, ["show", "http://localhost:4173/x"]).output)
    every = json.loads(run(config, ["show"]).output)

    assert checked == "sightline.toml: no errors; 1 site, 0 waivers\n"
    assert shown["options"] == [{"key": "standard", "value": "wcag22aa", "at": "sightline.toml:6"}]
    assert {"key": "gate.fail_on", "value": "serious", "at": "sightline.toml:19"} in every["options"]


def test_config_check_lists_faults_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sightline.toml").write_text("[gate]\nfail_on = 'seriuos'\n")

    done = CliRunner().invoke(config, ["check"])

    assert done.stdout == "sightline.toml:2: gate.fail_on: 'seriuos': did you mean serious?\n"
    assert "has 1 error" in str(done.exception)

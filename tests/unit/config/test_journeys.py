"""``[[journey]]`` of ``sightline.toml``: all its errors at once, and its use in a run."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from producer.cli.scan import by_file, pages, run
from producer.cli.scan.by_file import combined
from producer.cli.scan.command import scan
from producer.cli.scan.file_journeys import check_variables, file_journeys
from producer.cli.scan.option_keys import option_keys
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.pages import asked_pages
from producer.cli.scan.run import _plan
from producer.cli.scan.submit import ScanPlan
from producer.config.reading import read_config
from producer.config.schema import schema
from producer.errors import InputError

OPTIONS = option_keys(scan)
FAULTS = """\
[scan]
login = "sing in"
[[site]]
name = "shop"
url = "http://shop.test/"
login = "sizes"
[[page]]
match = "/x"
steps = "no.json"
[[journey]]
name = "sign in"
steps = [
  { goto = "/login" },
  { clik = "text=Sign in" },
  { fill = "label=Name" },
  { wait_for = { adress = "/x" } },
  { consent = 5 },
  { press = "Entr" },
]
[[journey]]
name = "sizes"
page = "/kettle"
site = "shp"
step = []
steps = [{ click = "#a" }, { scan = "open" }]
[[journey]]
name = "sizes"
page = "/kettle"
site = "shp"
steps = [{ scan = "open" }, { click = "#a" }]
[[journey]]
name = "ends nowhere"
page = "/kettle"
steps = [{ click = "#a" }]
[[journey]]
steps = []
"""
EXPECTED = """\
2: scan.login: 'sing in' is neither a [[journey]] of this file nor a file: did you mean sign in?
6: site[1].login: a login begins with a goto, has a step after it, and no scan: 'sizes' does not
9: page[1].steps: 'no.json' is neither a [[journey]] of this file nor a file: expected one or the other
10: journey[1]: nothing runs it: give it a start `page`, or name it in `login` or `steps`
14: journey[1].steps[2]: unknown step 'clik': did you mean 'click'?
15: journey[1].steps[3]: fill needs a value
16: journey[1].steps[4].wait_for: expected one of selector, text, address and idle, not 'adress'
17: journey[1].steps[5].consent: expected true, or the selector of a button
18: journey[1].steps[6]: press: 'Entr' is not a key: did you mean Enter?
23: journey[2].site: 'shp' is not a [[site]] of this file: did you mean shop?
24: journey[2].step: unknown key; did you mean steps?
27: journey[3].name: 'sizes' is also the name of journey[2]
29: journey[3].site: 'shp' is not a [[site]] of this file: did you mean shop?
30: journey[3].steps: step 2 comes after the last scan, 'open': end with a scan, or remove it
30: journey[3].steps[1]: journey[2] also scans a state called 'open' of this page
31: journey[4]: expected a step such as { scan = 'dialog open' }, which names the state to scan
35: journey[5].name: missing
36: journey[5].steps: is empty: expected one or more
"""
FILE = """
[scan]
standard = "wcag21aa"
login = "sign in"
[[site]]
name = "shop"
url = "http://shop.test/app/"
pages = ["/", "/cart"]
[[site]]
name = "docs"
pages = ["http://docs.test/"]
steps = "docs.json"
[[page]]
match = "/cart"
standard = "wcag22aa"
[[journey]]
name = "sign in"
steps = [{ goto = "http://shop.test/login" }, { fill = "label=Word", value = "${WORD}" }]
[[journey]]
name = "cart"
page = "/cart"
steps = [{ click = "#a" }, { scan = "open" }, { press = "Escape" }, { scan = "shut" }]
"""
STARTED = """
[[journey]]
name = "started"
page = "/x"
steps = [{ fill = "#pin", value = "${PIN}" }, { scan = "x" }]
"""
CART = "http://shop.test/cart"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (by_file, pages, run):
        monkeypatch.setattr(module, "environment", lambda: {"WORD": "open sesame"})
    (tmp_path / "docs.json").write_text('[{"consent": true}]')
    file = tmp_path / "sightline.toml"
    file.write_text(FILE)
    return file


def planned(file: Path, *urls: str, sites: tuple[str, ...] = ()) -> ScanPlan:
    options = ScanOptions(config=str(file), sites=sites)
    wanted = combined(urls, has_file=False, options=options, command=scan, given={})
    targets, asked = asked_pages(wanted, urls, None)
    return _plan(targets, asked, wanted.options, file_journeys(wanted.config))


def test_all_faults_of_journeys_come_at_once_with_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sightline.toml").write_text(FAULTS)

    faults = read_config(Path("sightline.toml"), OPTIONS, {}).faults

    assert [str(fault).removeprefix("sightline.toml:") for fault in faults] == EXPECTED.splitlines()


def test_a_journey_adds_its_states_to_the_pages_of_the_sites_all_behind_one_login(file: Path) -> None:
    plan = planned(file)

    states = [f"{CART}#:~:state=open", f"{CART}#:~:state=shut"]
    assert list(plan.urls) == ["http://shop.test/", CART, "http://docs.test/", *states]
    assert [len(plan.steps.get(url, ())) for url in plan.urls] == [0, 0, 1, 2, 4]
    asked = dict(zip(plan.urls, plan.asked(), strict=True))
    assert {url: one["standard"] for url, one in asked.items() if one["standard"] == "wcag22aa"}.keys() == {
        CART,
        *states,
    }
    login = {"url": "http://shop.test/login", "steps": [{"fill": "label=Word", "value": "${WORD}"}]}
    assert [one["login"] for one in asked.values()] == [login] * 5
    assert plan.secrets_of(states[0]) == {"variables": {"WORD": "open sesame"}}
    assert "sesame" not in repr(plan)


def test_journeys_belong_to_their_sites_and_not_to_addresses_of_the_command_line(file: Path) -> None:
    assert list(planned(file, sites=("docs",)).urls) == ["http://docs.test/"]
    assert len(planned(file, sites=("shop",)).urls) == 4
    assert list(planned(file, CART).urls) == [CART]


def test_a_file_of_journeys_alone_is_enough(file: Path) -> None:
    file.write_text('[[journey]]\nname = "a"\npage = "http://a.test/"\nsteps = [{ scan = "x" }]\n')

    assert list(planned(file).urls) == ["http://a.test/#:~:state=x"]


def test_every_missing_secret_is_named_with_its_journey_and_line_before_anything_runs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    file.write_text(FILE.replace('value = "${WORD}"', 'value = "${WORD}-${ODD}"') + STARTED)
    options = ScanOptions(config=str(file))

    with pytest.raises(InputError) as caught:
        check_variables(combined((), has_file=False, options=options, command=scan, given={}), {"ODD": "x"})

    assert [part.partition(": set")[0] for part in str(caught.value).split("; ")] == [
        f"{file.name}:16: journey 'sign in' needs ${{WORD}}",
        f"{file.name}:24: journey 'started' needs ${{PIN}}",
    ]


def test_the_schema_accepts_and_refuses_the_same_steps_in_an_editor() -> None:
    journey = {"name": "a", "page": "/", "steps": [{"wait_for": "dialog"}, {"consent": True}, {"scan": "x"}]}

    jsonschema.validate({"journey": [journey]}, schema(OPTIONS))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"journey": [{**journey, "steps": [{"clik": "#a"}]}]}, schema(OPTIONS))

"""The product's findings equal those of unmodified axe-core on the same page, node by node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from producer.contract import ScanRequest
from tests.support.site import Site
from worker.scan.engine import ScanEngine

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "ops" / "demo" / "site"
PAGES = sorted(str(page.relative_to(SHOP)) for page in SHOP.rglob("*.html"))

sys.path.insert(0, str(ROOT / "ops" / "truth"))

import bare  # noqa: E402  # pyright: ignore[reportMissingImports]  # a program's own folder, no package
import compare  # noqa: E402  # pyright: ignore[reportMissingImports]

LINKS = "<a href=/1>one</a> <a href=/2 style='color:#555;text-decoration:none'>two</a> "
SMALL = "<button style='all:unset;width:9px;height:9px' aria-label=x></button>"
TRICKY = {
    "lines of links": f"<p>{LINKS}<p>text {LINKS}<br>{LINKS}<hr>{LINKS} text"
    f"<div>{LINKS}<p>block</p>{LINKS}and text</div>"
    f"<div>{LINKS}<span hidden>hidden {LINKS}</span></div><p>{LINKS}<button>in a button {LINKS}</button> end</p>"
    f"<ul><li>{LINKS}<li style='display:inline'>{LINKS}<b>text {LINKS}</b></ul>"
    f"<p>{SMALL}{SMALL} <span style='visibility:hidden'>text</span></p>"
    f"<p>text<br><span role=link tabindex=0>{SMALL}{SMALL}</span></p>"
    f"<p>{SMALL}{SMALL}text{SMALL}<br>{SMALL}<span style='display:inline-block'>{SMALL} text</span></p>",
    "small targets, one over the other": "".join(
        f"<button style='position:absolute;left:{n * 7 % 90}px;top:{n * 11 % 90 + 50}px;width:{9 + n}px'>{n}</button>"
        for n in range(40)
    ),
    "labels, ids and tables": "<label for=a>a</label><input id=a><input id=a><input aria-labelledby='a b c'>"
    "<table><tr><th id=h>h<td headers='h x'>1<td headers=h>2</table><form><img src=data:></form>"
    + "<div id=twice><img src=data: class=k></div>"
    * 12,
    "shadow roots": f"<div><template shadowrootmode=open><p>text <slot></slot>{LINKS}</p><img src=data:></template>"
    f"{LINKS}</div>",
    "a sandboxed frame": "<iframe title=t sandbox srcdoc='<html lang=en><title>m</title><img src=data:>'></iframe>",
}


@pytest.fixture(scope="module")
def beside() -> Generator[None]:
    with bare.with_bare_axe():
        yield


async def differences(engine: ScanEngine, request: ScanRequest) -> tuple[int, list[str]]:
    """Return the number of bare axe-core's nodes, and the product's differences."""
    result, seen = await bare.audit_beside(engine, request)
    assert result.status == "scanned", result.reason
    assert not seen.failure
    found = compare.bare_findings(bare.nodes_of(seen.bare))
    product = compare.product_findings(result)
    return len(found), [str(one) for one in compare.against_bare(product, found, compare.Circumstances())]


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("page", PAGES)
async def test_the_result_for_a_page_of_the_shop_equals_axe_cores(engine: ScanEngine, page: str) -> None:
    with Site(SHOP) as shop:
        request = ScanRequest(url=shop.url(f"/{page}"), standard="best-practice")

        _, differing = await differences(engine, request)

    assert not differing


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("body", TRICKY.values(), ids=TRICKY)
async def test_the_result_equals_axe_cores_where_its_text_was_replaced(engine: ScanEngine, body: str) -> None:
    html = f"<!doctype html><html lang=en><title>x</title><main><h1>x</h1>{body}</main>"
    rules = ("color-contrast-enhanced",)
    request = ScanRequest(html=html, standard="best-practice", enabled_rules=rules)

    nodes, differing = await differences(engine, request)

    assert nodes
    assert not differing


@pytest.mark.usefixtures("beside")
async def test_a_frame_of_another_site_is_read_as_axe_core_reads_it(engine: ScanEngine, site: Site) -> None:
    inner = site.url("/pages/guilty.html", host="localhost")
    framed = (
        f"<!doctype html><html lang=en><title>f</title><main><h1>f</h1><iframe title=f src={inner}></iframe></main>"
    )

    nodes, differing = await differences(engine, ScanRequest(url=site.add("/beside-framed", framed)))

    assert nodes
    assert not differing


def test_the_program_prints_totals_and_exits_by_them(tmp_path: Path, browser_path: str) -> None:  # noqa: ARG001  one is needed
    (tmp_path / "guilty.html").write_text("<!doctype html><html lang=en><title>x</title><img src=data:>")

    run = subprocess.run(
        [sys.executable, str(ROOT / "ops" / "truth" / "run.py"), str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "pages 1, nodes 1" in run.stdout
    assert "invented 0 without a reason" in run.stdout

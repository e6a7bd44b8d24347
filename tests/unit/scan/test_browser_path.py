"""The choice of the browser, and the error without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.errors import DependencyMissing
from worker.scan import browser


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no browser, no package manager and an empty home."""
    monkeypatch.setattr(browser, "_INSTALLED", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_browser_named_by_the_setting_is_used(tmp_path: Path) -> None:
    wanted = program(tmp_path / "my-chromium")

    assert browser.find_browser(str(wanted)) == wanted


def test_a_browser_named_from_this_folder_on_is_the_one_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = program(tmp_path / "my-chromium")
    monkeypatch.chdir(tmp_path)

    assert browser.find_browser("my-chromium") == wanted


def test_a_named_browser_that_is_not_there_is_an_error_not_another_browser(tmp_path: Path) -> None:
    with pytest.raises(DependencyMissing, match="there is no browser at"):
        browser.find_browser(str(tmp_path / "missing"))


def test_a_browser_on_the_path_is_found(bare_machine: Path) -> None:
    found = program(bare_machine / "bin" / "chromium")

    assert browser.find_browser() == found


@pytest.mark.parametrize(
    "path",
    [
        ".cache/ms-playwright/chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell",
        ".cache/ms-playwright/chromium_headless_shell-1150/chrome-linux/headless_shell",
        ".cache/ms-playwright/chromium-1150/chrome-linux/chrome",
    ],
)
def test_a_browser_that_playwright_downloaded_is_found(bare_machine: Path, path: str) -> None:
    found = program(bare_machine / path)

    assert browser.find_browser() == found


def test_without_a_browser_the_error_says_what_to_install(bare_machine: Path) -> None:
    del bare_machine

    with pytest.raises(DependencyMissing, match="apt-get install --no-install-recommends chromium-headless-shell"):
        browser.find_browser()


def test_where_nothing_can_be_installed_the_command_says_so_and_fails(
    bare_machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del bare_machine

    code = browser.main(["--install"])

    assert code == DependencyMissing.exit_code
    assert "Google Chrome" in capsys.readouterr().err


def test_as_root_on_debian_the_package_is_installed(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = bare_machine / "bin" / "chromium-headless-shell"
    log = bare_machine / "apt.log"
    program(
        bare_machine / "bin" / "apt-get",
        f'echo "$@" >> {log}\n[ "$1" = install ] && echo "#!/bin/sh" > {target} && /bin/chmod 755 {target}\nexit 0',
    )
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)

    assert browser.install_browser() == target
    assert log.read_text().splitlines()[1].endswith("--no-install-recommends chromium-headless-shell")


def test_a_package_manager_that_fails_is_quoted(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare_machine / "bin" / "apt-get", "echo 'E: no route to the archive' >&2; exit 100")
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)

    with pytest.raises(DependencyMissing, match="'apt-get update' was tried and failed: E: no route to the archive"):
        browser.install_browser()

"""Decides whether Chromium runs in its sandbox: it is disabled only if the browser itself reports none.

A start that fails for any other reason (memory, a full disk, a slow machine) never disables the sandbox. Pure;
``chromium.py`` acts on the decision.
"""

from __future__ import annotations

import os
from typing import Final, Literal

SandboxMode = Literal["auto", "require", "off"]
ON: Final = "on"
REFUSED: Final = "off: refused by the kernel"
STARTS: Final = 2
"""Number of starts with a sandbox before one without: a momentary lack of namespaces must not disable it."""

_NONE_HERE: Final = (
    "No usable sandbox!",  # user namespaces are forbidden: seccomp, AppArmor, sysctl
    "Check failed: sys_chroot(",  # they are permitted and chroot is not: containers with an older rule
    "Failed to move to new namespace",
    "The SUID sandbox helper binary was found, but is not configured correctly",
    "kernel does not support synchronizing filters",
)


def off_from_the_start(mode: SandboxMode) -> str:
    """Return why no sandbox is tried at all, or ''. Chromium refuses to run as root with a sandbox."""
    if mode == "off":
        return "off: SCAN_SANDBOX=off"
    return "off: root" if os.geteuid() == 0 else ""


def says_none(words: str) -> str:
    """Return the line in which the browser says that this machine has no sandbox for it, or ''."""
    lines = (line for line in words.splitlines() if any(kind in line for kind in _NONE_HERE))
    return next(lines, "")


def refusal(why: str) -> str:
    """Return the message for SCAN_SANDBOX=require without a sandbox."""
    if why == "off: root":
        todo = "run the worker as a user other than root"
    else:
        todo = "permit user namespaces (in a container: by its seccomp profile)"
    return f"SCAN_SANDBOX=require, but the browser has no sandbox here ({why}): {todo}, or set SCAN_SANDBOX=auto"

"""The password file of ``--auth``, a line per account: ``name:role:scrypt:salt:hash``. Limits failed sign-ins.

The file is read again when it changes: a removed account, or a session of an earlier password, is refused at its next
request, and its live updates end. While it cannot be read, the accounts read last count, and the log says why; no
message to a visitor does.
Passwords are hashed with scrypt (RFC 7914; N 2^15, r 8, p 1: some 32 MB and 0.1 s per attempt).
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import scrypt, sha256
from pathlib import Path
from typing import Final, cast

from producer.errors import InputError
from producer.text_file import read_text
from producer.web.settings import ROLES, Role

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LEAST_CHARS: Final = 12
MOST_CHARS: Final = 1_000
TRIES: Final = 5
"""Maximum number of failed sign-ins of one name, or from one address, in ``WINDOW_S``; more are refused unread."""
WINDOW_S: Final = 300.0
REMEMBERED: Final = 10_000
_COST: Final = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}
_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class Account:
    """One line of the file."""

    name: str
    role: Role
    salt: bytes
    digest: bytes

    def is_password(self, password: str) -> bool:
        """Return whether ``password`` is the account's."""
        return hmac.compare_digest(_hashed(password, self.salt), self.digest)

    @property
    def proof(self) -> str:
        """A digest that changes with the password: a session of an earlier one is refused."""
        return sha256(b"sightline session\n" + self.salt + self.digest).hexdigest()[:32]

    @property
    def line(self) -> str:
        """The account's line in the file."""
        return f"{self.name}:{self.role}:scrypt:{self.salt.hex()}:{self.digest.hex()}"


class Accounts:
    """The accounts of one file."""

    def __init__(self, path: str, *, log: Callable[[str], object] | None = None) -> None:
        self._path = Path(path)
        self._log = log
        self._trouble = ""
        self._seen: tuple[int, int] = (0, 0)
        self._accounts: dict[str, Account] = {}
        self._nobody = Account("", "reader", os.urandom(16), os.urandom(64))

    def check(self) -> None:
        """Raise ``InputError`` for a file that is missing, malformed, writable by others, or empty."""
        self._read()
        if self._path.stat().st_mode & 0o022:
            raise InputError(f"--auth {str(self._path)!r} can be written by others: run chmod go-w {self._path}")
        if not self._accounts:
            raise InputError(f"--auth {str(self._path)!r} has no account: add one with --add NAME --role operator")

    @property
    def key(self) -> bytes:
        """A key for sessions, the same in all processes that read this file and known only to those who can read it."""
        self._read()
        return sha256(b"sightline web\n" + "\n".join(one.line for one in self._accounts.values()).encode()).digest()

    def role_of(self, name: str, proof: str) -> str:
        """Return an account's role now; '' for an unknown one, and for the ``proof`` of an earlier password."""
        self._read_again()
        found = self._accounts.get(name)
        return found.role if found and hmac.compare_digest(found.proof, proof) else ""

    def signed_in(self, name: str, password: str) -> Account | None:
        """Return the account; None for a wrong name or password, which takes as long as a right one."""
        self._read_again()
        account = self._accounts.get(name, self._nobody)
        is_right = len(password) <= MOST_CHARS and account.is_password(password[:MOST_CHARS])
        return account if is_right and account.name else None

    def _read_again(self) -> None:
        """Read the file if it has changed; while it is being written, or is broken, the last accounts are kept."""
        trouble = ""
        try:
            self._read()
        except InputError as error:
            trouble = str(error)
        if trouble and trouble != self._trouble and self._log is not None:
            self._log(json.dumps({"event": "web.accounts_unreadable", "error": trouble}))
        self._trouble = trouble

    def _read(self) -> None:
        try:
            state = self._path.stat()
            seen = (state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return
            lines = read_text(self._path).splitlines()
        except OSError as error:
            raise InputError(f"cannot read --auth {str(self._path)!r}: {error.strerror}") from None
        self._accounts = {one.name: one for one in map(_account, filter(str.strip, lines))}
        self._seen = seen


class Tries:
    """Counts failed sign-ins by name and by address, within bounds, for this process."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def is_over(self, *whose: str, now_s: float) -> bool:
        """Return whether one of ``whose`` has failed too often."""
        return any(len(self._recent(one, now_s)) >= TRIES for one in whose)

    def failed(self, *whose: str, now_s: float) -> None:
        """Count a failed sign-in."""
        for one in whose:
            self._failed[one] = [*self._recent(one, now_s), now_s][-TRIES:]
            self._failed.move_to_end(one)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def _recent(self, one: str, now_s: float) -> list[float]:
        return [at for at in self._failed.get(one, ()) if now_s - at < WINDOW_S]


def add_account(path: str, name: str, role: str, password: str) -> None:
    """Write an account to the file, replacing one of the same name; creates the file, readable only by its owner."""
    if not NAME.fullmatch(name):
        raise InputError(f"--add {name[:80]!r}: expected 1 to 64 letters, digits, '.', '_', '@' or '-'")
    if role not in ROLES:
        raise InputError(f"--role {role!r}: expected reader or operator")
    if not LEAST_CHARS <= len(password) <= MOST_CHARS:
        raise InputError(f"a password of {len(password)} characters: expected {LEAST_CHARS} to {MOST_CHARS:,}")
    salt = secrets.token_bytes(16)
    account = Account(name, role, salt, _hashed(password, salt))
    file = Path(path)
    kept = [one for one in read_text(file).splitlines() if one.strip()] if file.exists() else []
    kept = [one for one in kept if _account(one).name != name]
    made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write("".join(f"{one}\n" for one in [*kept, account.line]))
    if file.exists():
        made.chmod(file.stat().st_mode)  # another user may serve the board, as in a container
    made.replace(file)


def _account(line: str) -> Account:
    parts = line.strip().split(":")
    is_whole = len(parts) == _FIELDS and parts[2] == "scrypt" and NAME.fullmatch(parts[0]) and parts[1] in ROLES
    try:
        salt, digest = map(bytes.fromhex, parts[3:]) if is_whole else (b"", b"")
    except ValueError:
        salt, digest = b"", b""
    if not salt or not digest:
        shown = parts[0][:40]
        raise InputError(
            f"--auth: the line of {shown!r} is not an account: expected name:role:scrypt:salt:hash, as --add writes it"
        )
    return Account(parts[0], cast("Role", parts[1]), salt, digest)


def _hashed(password: str, salt: bytes) -> bytes:
    return scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, dklen=64, **_COST)

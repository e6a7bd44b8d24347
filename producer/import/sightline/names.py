"""Finds Sightline's ``producer`` and ``worker`` in a program with modules of the same names.

If the program's ``worker.py`` hides Sightline's package, the package is loaded as ``sightline.worker`` from the same
files: its modules get an ``__import__`` that maps ``worker`` to that package. The program's ``import worker`` still
finds the program's module. If nothing is hidden, nothing changes, and each module exists once.

CPython looks up ``__import__`` in the ``__builtins__`` of the importing module; other implementations may not.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PACKAGES: Final = ("producer", "worker")
_HERE: Final = Path(__file__).resolve().parent
HOME: Final = next(home for home in (_HERE.parent, _HERE.parents[2]) if (home / "producer" / "errors.py").is_file())
"""Location of Sightline's packages: beside this one in a wheel, above it in a checkout."""

hidden: set[str] = set()
"""Sightline's packages that are hidden by a module of the program."""


def look_for_hidden(*, folder: Path | None = None) -> None:
    """Find hidden packages, on the path or by ``folder``, which will be added to it. Safe to call twice."""
    for name in PACKAGES:
        own = HOME / name / "__init__.py"
        loaded = sys.modules.get(name)
        places = [getattr(loaded, "__file__", None)] if loaded else [_origin(find_spec(name))]
        if folder is not None and not loaded:
            places.append(_origin(PathFinder.find_spec(name, [str(folder)])) or str(own))
        if own.is_file() and any(place is None or Path(place).resolve() != own for place in places):
            hidden.add(name)
    if hidden and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def load(name: str) -> ModuleType:
    """Import a module of Sightline, regardless of the program's module names."""
    return import_module(_name_of(name))


def _name_of(name: str) -> str:
    return f"sightline.{name}" if name.partition(".")[0] in hidden else name


def _origin(spec: ModuleSpec | None) -> str | None:
    """Return the file of a module, the folder of a namespace package, or None."""
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002  as in the original
    locals: Mapping[str, object] | None = None,  # noqa: A002  the same
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> Any:
    if level or name.partition(".")[0] not in hidden:
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = builtins.__import__(_name_of(name), globals, locals, fromlist or ("",), 0)
    return module if fromlist else sys.modules[_name_of(name.partition(".")[0])]


_BUILTINS: Final = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    """Runs Sightline's modules with an ``__import__`` that resolves its names."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds hidden packages under ``sightline.``, and the program's modules under their plain names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if fullname in hidden:  # the program's module, even if Sightline's is first on the path
            return PathFinder.find_spec(fullname, [entry for entry in sys.path if Path(entry).resolve() != HOME])
        parent, _, name = fullname.partition(".")
        top = name.partition(".")[0]
        if parent != "sightline" or top not in {*hidden, "arq"}:
            return None
        spec = PathFinder.find_spec(fullname, [str(HOME)] if name in hidden else path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec

"""Copies of requests' and urllib3's classes that no patch reaches; pools and deadline use them.

Tracing, mocking and recording libraries set methods of these classes anew: `Session.send`,
`HTTPConnectionPool.urlopen`, `HTTPConnection.putrequest`. A span for each shipment whose exporter
logs would never end, and a mock would take the entries. A copy has the methods as their own modules
define them. Modules are shared: what gevent, eventlet or truststore set there is in effect.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from types import CellType, FunctionType, ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

_NO_METHOD = object()


def untouched(kind: type[T]) -> type[T]:
    """Return a subclass with the original methods, whether a patch comes later or came before.

    A method of the class that calls ``super()`` has to find an original too. So a copy of each
    class stands before it in the order of the bases.
    """
    made: Any = None
    for cls in reversed(kind.__mro__[:-1]):
        bases = (cls, made) if made else (cls,)
        made = type(cls)(cls.__name__, bases, _originals(cls))
    copy: type[T] = made
    return copy


def genuine(module: ModuleType, name: str) -> Any:
    """Return a module's own class, also where a recorder has put another one in its place."""
    found = getattr(module, name)
    if found.__module__ == module.__name__:
        return found
    wanted = (module.__name__, name)
    classes: list[type] = [object]
    seen: set[int] = set()
    for cls in classes:  # grows: all classes that there are, each after what it derives from
        if (cls.__module__, cls.__name__) == wanted:
            return cls
        below: list[type] = type.__subclasses__(cls)
        new = [each for each in below if id(each) not in seen]
        classes.extend(new)
        seen.update(map(id, new))
    return found


def _originals(cls: type) -> dict[str, FunctionType]:
    """Return all methods of a class as defined, the inherited ones too: a patch may add them."""
    found: dict[str, FunctionType] = {}
    others: set[str] = set()
    for owner in cls.__mro__[:-1]:
        for name, value in vars(owner).items():
            original = _original(owner, name, value)
            if type(original) is FunctionType and name not in others:
                found.setdefault(name, original)
            elif original is _NO_METHOD and name not in found:
                others.add(name)
    return found


def _original(owner: type, name: str, value: Any) -> Any:
    """Return a method as its module defines it; None if the module does not define it."""
    module = sys.modules[owner.__module__]
    if type(value) is FunctionType and value.__globals__ is vars(module):
        return value
    kinds = (staticmethod, classmethod, property, type)
    if isinstance(value, kinds) or not callable(value):
        return _NO_METHOD
    try:
        defined = vars(getattr(_fresh(owner.__module__), owner.__name__)).get(name)
        return _of_module(defined, module, owner) if type(defined) is FunctionType else None
    except Exception:  # noqa: BLE001 - a module without a source, as in a frozen application
        return _NO_METHOD


@functools.cache
def _fresh(name: str) -> ModuleType:
    """Run a module once more, for the methods that were set anew before forklog was imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _of_module(function: FunctionType, module: ModuleType, owner: type) -> FunctionType:
    """Return a method of a fresh module as one of the module that is in use."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closure = tuple(CellType(owner) if n == "__class__" else c for n, c in cells.items())
    made = FunctionType(
        function.__code__, vars(module), function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made

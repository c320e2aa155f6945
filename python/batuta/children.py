"""Batuta in the child processes that the `multiprocessing` module starts.

A forked child has it already. A child by "spawn" or "forkserver" is a new interpreter, which is
handed a pickled description of its parent and unpickles it before it imports the program. Here
that description gets one more entry, which installs Batuta when it is unpickled.
Runs in the parent; `multiprocessing` is not imported for it, but watched for.
"""

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_SPAWN: Final = "multiprocessing.spawn"

# Run in the child by the unpickler, so it may fail in no way that would lose the child.
_IN_CHILD: Final = """
try:
    from batuta import install
except ImportError as error:
    import warnings
    warnings.warn(f"this child process keeps asyncio's own event loop: {error}", RuntimeWarning)
else:
    install(accelerate=accelerate)
"""


class _InstallWhenUnpickled:
    def __init__(self, *, accelerate: bool) -> None:
        self._globals = {"accelerate": accelerate}

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_IN_CHILD, self._globals)


def _extend(spawn: ModuleType, *, accelerate: bool) -> None:
    describe_parent = spawn.get_preparation_data

    installs = _InstallWhenUnpickled(accelerate=accelerate)

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**describe_parent(name), "batuta": installs}

    spawn.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]


class _SpawnWatch(importlib.abc.MetaPathFinder):
    """Extends `multiprocessing.spawn` as soon as it has been imported, then goes away."""

    def __init__(self, *, accelerate: bool) -> None:
        self._accelerate = accelerate

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _SPAWN:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_extend(module: ModuleType) -> None:
                execute(module)
                _extend(module, accelerate=self._accelerate)

            setattr(spec.loader, "exec_module", execute_and_extend)  # noqa: B010
        return spec


def install_in_children(*, accelerate: bool) -> None:
    """Give Batuta to every child process that `multiprocessing` starts from now on."""
    spawn = sys.modules.get(_SPAWN)
    if spawn is not None:
        _extend(spawn, accelerate=accelerate)
    else:
        sys.meta_path.insert(0, _SpawnWatch(accelerate=accelerate))

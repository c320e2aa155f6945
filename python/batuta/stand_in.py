"""Classes that stand in for classes of asyncio: calling one makes an object of Batuta's.

A stand-in accepts in `isinstance` and `issubclass` what the class accepts that it replaces, so
objects and subclasses made before the replacement stay what they are. A class that derives from it
gets a real class as its base instead, and nothing of this.
"""

from abc import ABCMeta
from typing import Any


class StandInType(ABCMeta):
    """The type of stand-ins: what `isinstance`, `issubclass` and `class` do with them.

    It derives from ABCMeta so that a program may mix a stand-in with an abstract base class.
    """

    # The class from which subclasses derive, and the classes whose instances are accepted.
    _base: type
    _accepted: tuple[type, ...]

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:
        """Make a class; one that derives from a stand-in becomes a child of the real class."""
        if not any(isinstance(base, StandInType) for base in bases):
            return super().__new__(mcls, name, bases, namespace, **keywords)
        own_bases = tuple(base._base if isinstance(base, StandInType) else base for base in bases)
        return type(name, own_bases, namespace, **keywords)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._accepted)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls._accepted)

"""`vars()` of objects whose attributes lie in native fields.

A subclass may keep what its base class has in `__dict__`, and put it back (aioconsole does that
when one of several pipes with the same protocol is closed). So `__dict__` shows the native fields
as well, under the names that they have in asyncio's class, and what is written into it arrives.
"""

from collections.abc import MutableMapping
from typing import Any

__all__ = ["fields"]


class Fields(dict[str, Any]):
    """The attributes of an object at the moment; what is changed here changes in the object."""

    __slots__ = ("_names", "_own", "_owner")

    def __init__(self, owner: object, own: dict[str, Any], names: tuple[str, ...]) -> None:
        super().__init__({name: getattr(owner, name) for name in names} | own)
        self._owner = owner
        self._own = own
        self._names = names

    def __setitem__(self, name: str, value: Any) -> None:
        # Methods as well: native code has to learn that one is replaced.
        if name not in self._names and not callable(getattr(type(self._owner), name, None)):
            self._own[name] = value
        elif getattr(self._owner, name, None) is not value:
            setattr(self._owner, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if name in self._own:
            del self._own[name]
        elif name in self:
            delattr(self._owner, name)
        super().__delitem__(name)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    # By way of the three above.
    clear = MutableMapping.clear
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update


def fields(base: type, *names: str) -> Any:
    """The `__dict__` of a class.

    Args:
        base: asyncio's class, from which instances have a dict of their own.
        names: The native fields, which are properties of the class.
    """
    own: Any = next(vars(known)["__dict__"] for known in base.mro() if "__dict__" in vars(known))

    def show(owner: object) -> Fields:
        return Fields(owner, own.__get__(owner), names)

    def replace(owner: object, attributes: dict[str, Any]) -> None:
        own.__get__(owner).clear()
        show(owner).update(attributes)

    return property(show, replace, doc="The attributes, those in native fields included.")

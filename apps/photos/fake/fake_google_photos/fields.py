"""Reading the fields of JSON requests, and pages of lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .errors import invalid

T = TypeVar("T")


def text(body: Mapping[str, Any], name: str, *, longest: int | None = None) -> str:
    """A string; empty if it is missing.

    Raises:
        ApiError: it is something else, or longer than `longest` characters.
    """
    value = body.get(name, "")
    if not isinstance(value, str):
        raise invalid(f"Invalid value at '{name}' (TYPE_STRING), {value!r}")
    if longest is not None and len(value) > longest:
        raise invalid(f"'{name}' is longer than {longest} characters.")
    return value


def message(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; empty if it is missing.

    Raises:
        ApiError: it is something else.
    """
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"Invalid value at '{name}' (message), {value!r}")
    return value


def entries(body: Mapping[str, Any], name: str) -> list[Any]:
    """A list; empty if it is missing.

    Raises:
        ApiError: it is something else.
    """
    value = body.get(name, [])
    if not isinstance(value, list):
        raise invalid(f"Invalid value at '{name}' (repeated), {value!r}")
    return value


def page(
    things: Sequence[T], asked: Mapping[str, Any], *, usual: int, largest: int
) -> tuple[Sequence[T], str]:
    """One page of a list, and the token of the next page (empty at the end).

    Args:
        things: the whole list.
        asked: the request's `pageSize` and `pageToken`.
        usual: the size of a page that names none.
        largest: the largest size of a page.

    Raises:
        ApiError: the size is out of range, or the token is not one of ours.
    """
    try:
        size = int(asked.get("pageSize") or usual)
    except (TypeError, ValueError):
        raise invalid(f"Invalid value at 'page_size' (TYPE_INT32), {asked['pageSize']!r}") from None
    if not 0 < size <= largest:
        raise invalid(f"Page size must be between 1 and {largest}.")
    start = _offset(asked.get("pageToken") or "")
    end = start + size
    following = base64.urlsafe_b64encode(f"from {end}".encode()).decode()
    return things[start:end], following if end < len(things) else ""


def _offset(token: object) -> int:
    if token == "":
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(str(token)).decode().partition(" ")
        if word == "from":
            return int(number)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise invalid("Request contains an invalid page token.")

"""The fault plan: which request goes wrong, and how.

A plan looks only at its seed, at the kind of a request and at how many of that kind came before.
So the n-th `create_items` of a plan meets the same fault in every run, whatever else is under way
at that moment, and a failure seen once can be had again with the same seed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of requests, as counted and as named in plans."""

    UPLOAD_RAW = "upload_raw"
    UPLOAD_START = "upload_start"
    UPLOAD_CHUNK = "upload_chunk"
    UPLOAD_QUERY = "upload_query"
    UPLOAD_CANCEL = "upload_cancel"
    CREATE_ITEMS = "create_items"
    LIST_ITEMS = "list_items"
    GET_ITEM = "get_item"
    SEARCH_ITEMS = "search_items"
    CREATE_ALBUM = "create_album"
    LIST_ALBUMS = "list_albums"
    GET_ALBUM = "get_album"
    ADD_TO_ALBUM = "add_to_album"
    REMOVE_FROM_ALBUM = "remove_from_album"
    MEDIA_BYTES = "media_bytes"
    TOKEN = "token"
    AUTHORIZE = "authorize"
    TOKEN_INFO = "token_info"
    REVOKE = "revoke"
    UNKNOWN = "unknown"


UPLOAD_KINDS = frozenset(kind for kind in Kind if kind.startswith("upload_"))
UPLOADS = frozenset({Kind.UPLOAD_RAW, Kind.UPLOAD_CHUNK})
WRITES = frozenset(
    {Kind.CREATE_ITEMS, Kind.CREATE_ALBUM, Kind.ADD_TO_ALBUM, Kind.REMOVE_FROM_ALBUM}
)
OAUTH = frozenset({Kind.TOKEN, Kind.AUTHORIZE, Kind.TOKEN_INFO, Kind.REVOKE})
API = frozenset(Kind) - OAUTH - {Kind.UNKNOWN, Kind.MEDIA_BYTES}


class Fault(StrEnum):
    """What can go wrong with a request."""

    RATE_LIMIT = "rate_limit"  # 429
    RATE_LIMIT_RETRY_AFTER = "rate_limit_retry_after"  # 429 with Retry-After
    SERVER_ERROR = "server_error"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502
    UNAVAILABLE = "unavailable"  # 503
    HTML_ERROR = "html_error"  # 502 from a proxy, in HTML
    ABORTED = "aborted"  # 409
    CUT_BEFORE = "cut_before"  # the connection ends, nothing was done
    CUT_AFTER = "cut_after"  # the work was done, the whole reply is lost
    CUT_REPLY = "cut_reply"  # the work was done, half of the reply arrives
    CUT_BODY = "cut_body"  # the connection ends while the bytes of an upload arrive
    SLOW_READ = "slow_read"  # the bytes of an upload are taken slowly
    TOKEN_EXPIRED = "token_expired"  # 401, and the access token stays refused
    ITEM_INTERNAL = "item_internal"  # an item of a batch fails with code 13
    DAY_QUOTA = "day_quota"  # the day's quota is used up from here on


# Faults that only some requests can meet; all others can meet any request.
_ONLY: Mapping[Fault, frozenset[Kind]] = {
    Fault.ABORTED: WRITES,
    Fault.CUT_BODY: UPLOADS,
    Fault.SLOW_READ: UPLOADS,
    Fault.ITEM_INTERNAL: frozenset({Kind.CREATE_ITEMS}),
    Fault.TOKEN_EXPIRED: API,
    Fault.DAY_QUOTA: API,
    Fault.RATE_LIMIT: API,
    Fault.RATE_LIMIT_RETRY_AFTER: API,
}

# What a share of requests meets unless the plan names its own. The day's quota is left out: it
# stops a run instead of disturbing it.
COMMON = tuple(fault for fault in Fault if fault is not Fault.DAY_QUOTA)


def can_meet(fault: Fault, kind: Kind) -> bool:
    """Whether a request of this kind can have this fault."""
    return kind in _ONLY.get(fault, frozenset(Kind))


@dataclass(frozen=True)
class At:
    """The `number`-th request (from 1) of `kind` meets `fault`."""

    kind: Kind
    number: int
    fault: Fault


class FaultPlan:
    """Decides for each request whether it goes wrong.

    Args:
        share: how many of the requests go wrong, from 0 to 1.
        seed: another seed, another choice of requests and faults.
        faults: what those requests meet, equally often; the default is everything but `day_quota`.
        on: the kinds of requests that `share` applies to; the default is the whole API without
            sign-in and media bytes.
        listed: single requests that go wrong besides, by number; they come before `share`.
        retry_after: seconds that Retry-After says.
        slow: seconds of pause between two reads of a slow upload (64 KiB each).

    Raises:
        ValueError: a share outside 0 to 1, a number below 1, or a fault that its request cannot
            meet.
    """

    def __init__(
        self,
        share: float = 0.0,
        *,
        seed: int = 0,
        faults: Iterable[Fault | str] = COMMON,
        on: Iterable[Kind | str] = API,
        listed: Iterable[At] = (),
        retry_after: int = 1,
        slow: float = 0.01,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"the share of faults goes from 0 to 1, not {share}")
        self.share = share
        self.seed = seed
        self.faults = tuple(Fault(fault) for fault in faults)
        self.on = frozenset(Kind(kind) for kind in on)
        self.retry_after = retry_after
        self.slow = slow
        self._listed: dict[tuple[Kind, int], Fault] = {}
        self._seen: Counter[Kind] = Counter()
        for at in listed:
            self.add(at.kind, at.number, at.fault)

    def add(self, kind: Kind | str, number: int, fault: Fault | str) -> None:
        """Lets the `number`-th request (from 1) of `kind` meet `fault`.

        Raises:
            ValueError: a number below 1, or a fault that such a request cannot meet.
        """
        kind, fault = Kind(kind), Fault(fault)
        if number < 1:
            raise ValueError(f"requests are counted from 1, not {number}")
        if not can_meet(fault, kind):
            raise ValueError(f"{kind} cannot meet {fault}")
        self._listed[kind, number] = fault

    def next(self, kind: Kind | str, fault: Fault | str, *, times: int = 1) -> None:
        """Lets the next `times` requests of `kind` meet `fault`; see `add` for what is raised."""
        kind = Kind(kind)
        for number in range(times):
            self.add(kind, self._seen[kind] + 1 + number, fault)

    def decide(self, kind: Kind) -> Fault | None:
        """Counts a request of `kind` and says what it meets."""
        self._seen[kind] += 1
        number = self._seen[kind]
        listed = self._listed.get((kind, number))
        if listed is not None:
            return listed
        if kind not in self.on or self.draw(f"{kind} {number}") >= self.share:
            return None
        possible = [fault for fault in self.faults if can_meet(fault, kind)]
        if not possible:
            return None
        return possible[int(self.draw(f"which {kind} {number}") * len(possible))]

    def draw(self, what: str) -> float:
        """A number from 0 to below 1 that depends on the seed and on `what` only."""
        digest = hashlib.blake2b(f"{self.seed} {what}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """A plan from words separated by commas, as on the command line.

        `0.05` is the share; `seed=3`, `retry-after=2` and `slow=0.1` set those; `faults=a+b` and
        `on=a+b` name faults and kinds; `create_items:3=cut_after` lists a single request.

        Raises:
            ValueError: a word that is none of these.
        """
        share = 0.0
        named: dict[str, str] = {}
        listed: list[At] = []
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = word.partition("=")
            if not equals:
                share = _number(word)
            elif ":" in name:
                kind, _, number = name.partition(":")
                listed.append(At(Kind(kind), int(_number(number)), Fault(value)))
            elif name in ("share", "seed", "faults", "on", "retry-after", "slow"):
                named[name] = value
            else:
                raise ValueError(f"a plan of faults knows no {name!r}")
        return cls(
            _number(named.get("share", str(share))),
            seed=int(_number(named.get("seed", "0"))),
            faults=named["faults"].split("+") if "faults" in named else COMMON,
            on=named["on"].split("+") if "on" in named else API,
            listed=listed,
            retry_after=int(_number(named.get("retry-after", "1"))),
            slow=_number(named.get("slow", "0.01")),
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"a plan of faults has {text!r} where a number belongs") from None

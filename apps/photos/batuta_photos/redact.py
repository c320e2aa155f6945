"""Secrets never reach a log: every line is cleaned after it has been formatted.

Known secrets (tokens, the client's secret, upload tokens) are replaced wherever they stand;
patterns catch those that nobody registered.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from pathlib import Path

HIDDEN = "[secret]"
_REMEMBERED = 4096  # upload tokens come by the thousand; old ones are forgotten

_PATTERNS = re.compile(
    r"ya29\.[\w.-]+"
    r"|1//[\w-]{10,}"
    r"|GOCSPX-[\w-]+"
    r"|(?<=Bearer )\S+"
    r"|(?<=upload_id=)[^&\s'\"]+"
    r"|(?<=[?&]code=)[^&\s'\"]+"
    r"|(?<=[\"']access_token[\"']: [\"'])[^\"']+"
    r"|(?<=[\"']refresh_token[\"']: [\"'])[^\"']+"
    r"|(?<=[\"']client_secret[\"']: [\"'])[^\"']+"
)

_known: deque[str] = deque(maxlen=_REMEMBERED)


def remember(secret: str | None) -> None:
    """Keep this text out of all logs from now on."""
    if secret and len(secret) >= 8 and secret not in _known:
        _known.append(secret)


def redact(text: str) -> str:
    """The text without secrets."""
    text = _PATTERNS.sub(HIDDEN, text)
    for secret in tuple(_known):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up_logging(verbose: bool, file: Path | None) -> None:
    """Warnings go to the terminal (everything with `verbose`); with `file` all goes there, too."""
    layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.DEBUG if verbose else logging.ERROR)
    screen.setFormatter(_Formatter(layout))
    root.addHandler(screen)
    if file is not None:
        lines = logging.FileHandler(file, encoding="utf-8", errors="replace")
        lines.setFormatter(_Formatter(layout))
        root.addHandler(lines)
    root.setLevel(logging.DEBUG if verbose or file else logging.ERROR)
    # These print whole token replies when asked for everything.
    for name in ("requests_oauthlib", "oauthlib", "google", "urllib3", "asyncio", "PIL"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Each statement in full, paths included: of no use to anybody.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)

"""Google's error bodies.

The JSON API answers `{"error": {"code", "message", "status", ...}}`, printed over several lines.
The upload endpoint has been seen to answer a bare `{"code", "message"}` with the code of gRPC
instead; `bare=True` gives that one. Quota errors carry the older `errors` list and an `ErrorInfo`
in `details`, which is where a client can tell the day's quota from a short rate limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

# Name of the status: its code in gRPC and the HTTP status it travels with.
STATUSES = {
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}

SERVICE = "photoslibrary.googleapis.com"


class ApiError(Exception):
    """An answer of the API that is an error.

    Args:
        status: a name in `STATUSES`.
        message: the text for people.
        http: the HTTP status, where it is not the usual one of `status`.
        extra: more members of the `error` object.
        headers: more headers of the response.
        bare: the short body of the upload endpoint.
    """

    def __init__(
        self,
        status: str,
        message: str,
        *,
        http: int | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.rpc, usual = STATUSES[status]
        self.http = usual if http is None else http
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        self.bare = bare

    def body(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        if self.bare:
            return {"code": self.rpc, "message": self.message}
        error = {"code": self.http, "message": self.message, "status": self.status, **self.extra}
        return {"error": error}

    def response(self) -> web.Response:
        """The whole HTTP response."""
        return json_response(self.body(), status=self.http, headers=self.headers)


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON response, laid out as Google's servers lay it out."""
    return web.Response(
        text=json.dumps(body, indent=2, ensure_ascii=False) + "\n",
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def invalid(message: str, *, bare: bool = False) -> ApiError:
    """400 INVALID_ARGUMENT."""
    return ApiError("INVALID_ARGUMENT", message, bare=bare)


def unauthenticated() -> ApiError:
    """401 for an access token that is unknown, revoked or too old."""
    return ApiError(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
    )


def scope_missing() -> ApiError:
    """403 for a method whose scope the user did not grant."""
    return ApiError("PERMISSION_DENIED", "Request had insufficient authentication scopes.")


def quota_exceeded(
    metric: str, metric_id: str, limit: str, limit_id: str, value: int, project: str
) -> ApiError:
    """429 for a counted quota, with everything a client needs to know which one it is.

    Args:
        metric: the name of what is counted, e.g. `All requests`.
        metric_id: the same as an identifier, e.g. `all_requests`.
        limit: the name of the limit, e.g. `All requests per day`.
        limit_id: the same as an identifier, e.g. `ApiCallsPerProjectPerDay`.
        value: how many are allowed.
        project: the number of the project.
    """
    message = (
        f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service "
        f"'{SERVICE}' for consumer 'project_number:{project}'."
    )
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "consumer": f"projects/{project}",
            "quota_limit": limit_id,
            "quota_limit_value": str(value),
            "quota_location": "global",
            "quota_metric": f"{SERVICE}/{metric_id}",
            "service": SERVICE,
        },
    }
    entry = {"message": message, "domain": "global", "reason": "rateLimitExceeded"}
    return ApiError("RESOURCE_EXHAUSTED", message, extra={"errors": [entry], "details": [info]})


def concurrent_write() -> ApiError:
    """429 for a write while another one of the same user is under way."""
    message = f"Quota exceeded for quota 'concurrent write request' of service '{SERVICE}'."
    entry = {"message": message, "domain": "global", "reason": "rateLimitExceeded"}
    return ApiError("RESOURCE_EXHAUSTED", message, extra={"errors": [entry]})

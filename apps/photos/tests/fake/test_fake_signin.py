"""Sign-in at the local service: PKCE, codes, refresh, expiry, scopes, revocation."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from fake_client import Run, browser, service, signed_in
from fake_google_photos import APPEND, EDIT, READ, SCOPES, FakeGooglePhotos

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
REDIRECT = "http://127.0.0.1:8090/"


def asked(photos: FakeGooglePhotos, **changes: str) -> dict[str, str]:
    """The parameters of a good request for authorisation."""
    return {
        "client_id": photos.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "state": "a state/with=signs&",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
        "access_type": "offline",
        **changes,
    }


async def authorize(
    photos: FakeGooglePhotos, session: aiohttp.ClientSession, **changes: str
) -> tuple[int, dict[str, str]]:
    """The status, and what came back in the redirect."""
    async with session.get(
        photos.auth_url, params=asked(photos, **changes), allow_redirects=False
    ) as response:
        return response.status, query_of(response)


def query_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    location = response.headers.get("Location", "")
    assert not location or location.startswith(REDIRECT)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def token(
    photos: FakeGooglePhotos, session: aiohttp.ClientSession, **form: str
) -> tuple[int, Any]:
    usual = {"client_id": photos.client_id, "client_secret": photos.client_secret}
    async with session.post(photos.token_url, data={**usual, **form}) as response:
        return response.status, await response.json()


async def exchange(
    photos: FakeGooglePhotos, session: aiohttp.ClientSession, code: str, **changes: str
) -> tuple[int, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        **changes,
    }
    return await token(photos, session, **form)


@pytest.mark.parametrize("tls", [False, True])
def test_a_code_with_its_verifier_gives_tokens_that_work(run: Run, tls: bool) -> None:
    async def main() -> None:
        async with FakeGooglePhotos(tls=tls) as photos, browser(photos) as session:
            status, back = await authorize(photos, session)
            assert (status, back["state"]) == (302, "a state/with=signs&")
            status, tokens = await exchange(photos, session, back["code"])
            assert status == 200
            assert tokens["token_type"] == "Bearer"
            assert set(tokens["scope"].split()) == set(SCOPES)
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            async with session.get(f"{photos.base_url}/v1/albums", headers=headers) as response:
                assert response.status == 200
            status, again = await token(
                photos,
                session,
                grant_type="refresh_token",
                refresh_token=tokens["refresh_token"],
            )
            assert status == 200
            assert again["access_token"] != tokens["access_token"]
            assert "refresh_token" not in again

    run(main())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:8091/"}, "redirect_uri_mismatch"),
        ({"code": "4/another"}, "invalid_grant"),
        ({"client_secret": "GOCSPX-wrong"}, "invalid_client"),
        ({"client_id": "1-nobody.apps.googleusercontent.com"}, "invalid_client"),
        ({"client_id": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_exchange_is_refused(run: Run, changes: dict[str, str], error: str) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            _, back = await authorize(photos, session)
            form = {"code": back["code"], **changes}
            status, body = await exchange(photos, session, **form)
            assert status in (400, 401)
            assert body["error"] == error

    run(main())


def test_a_code_used_twice_takes_its_tokens_with_it(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            _, back = await authorize(photos, session)
            _, tokens = await exchange(photos, session, back["code"])
            status, body = await exchange(photos, session, back["code"])
            assert (status, body["error"]) == (400, "invalid_grant")
            assert photos.accounts.access(tokens["access_token"]) is None

    run(main())


def test_codes_and_refresh_tokens_are_good_for_their_own_application_only(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            _, back = await authorize(photos, session)
            refresh_token = photos.issue_credentials().refresh_token
            photos.client_id, photos.client_secret = photos.accounts.register()
            status, body = await exchange(photos, session, back["code"])
            assert (status, body["error"]) == (400, "invalid_grant")
            status, body = await token(
                photos, session, grant_type="refresh_token", refresh_token=refresh_token
            )
            assert (status, body["error"]) == (400, "invalid_grant")

    run(main())


def test_a_code_is_good_for_ten_minutes(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            for wait, expected in ((580, 200), (601, 400)):
                _, back = await authorize(photos, session)
                photos.advance(wait)
                assert (await exchange(photos, session, back["code"]))[0] == expected

    run(main())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_id": "somebody"}, 401),
        ({"redirect_uri": "https://example.com/"}, 400),
        ({"redirect_uri": "http://127.0.0.1.example.com/"}, 400),
        ({"response_type": "token"}, 400),
        ({"scope": "https://www.googleapis.com/auth/nonsense"}, 400),
        ({"scope": ""}, 400),
        ({"code_challenge_method": "S512"}, 400),
    ],
)
def test_a_wrong_request_is_shown_to_the_user_and_not_redirected(
    run: Run, changes: dict[str, str], status: int
) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            assert await authorize(photos, session, **changes) == (status, {})

    run(main())


@pytest.mark.parametrize(
    "redirect", ["http://localhost:1234/x?a=b", "http://[::1]:5/", "http://127.0.0.1"]
)
def test_every_kind_of_loopback_redirect_is_taken(run: Run, redirect: str) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            async with session.get(
                photos.auth_url,
                params=asked(photos, redirect_uri=redirect),
                allow_redirects=False,
            ) as response:
                assert response.status == 302
                assert response.headers["Location"].startswith(redirect)

    run(main())


def test_removed_scopes_are_granted_to_nobody(run: Run) -> None:
    async def main() -> None:
        wide = "https://www.googleapis.com/auth/photoslibrary"
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            _, back = await authorize(photos, session, scope=f"{wide} {APPEND}")
            _, tokens = await exchange(photos, session, back["code"])
            assert tokens["scope"] == APPEND

    run(main())


def test_the_user_is_asked_and_may_untick_a_scope_or_refuse(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos(auto_consent=False) as photos, browser(photos) as session:
            async with session.get(photos.auth_url, params=asked(photos)) as response:
                page = await response.text()
            assert response.status == 200
            assert all(scope in page for scope in SCOPES)
            form = [("answer", "allow"), ("scope", APPEND), ("scope", READ)]
            async with session.post(
                photos.auth_url, params=asked(photos), data=form, allow_redirects=False
            ) as response:
                back = query_of(response)
            _, tokens = await exchange(photos, session, back["code"])
            assert set(tokens["scope"].split()) == {APPEND, READ}
            async with session.post(
                photos.auth_url,
                params=asked(photos),
                data={"answer": "deny"},
                allow_redirects=False,
            ) as response:
                back = query_of(response)
            assert back == {"error": "access_denied", "state": "a state/with=signs&"}

    run(main())


def test_an_access_token_ends_by_the_clock(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.advance(3_580)
            assert (await client.get("/v1/albums")).status == 200
            photos.advance(20)
            answer = await client.get("/v1/albums")
            assert answer.status == 401
            assert (answer.error["code"], answer.error["status"]) == (401, "UNAUTHENTICATED")
            assert "invalid authentication credentials" in answer.error["message"]

    run(main())


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ya29.unknown", "Basic abc"])
def test_a_request_without_a_good_token_is_refused(run: Run, header: str) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            for method, path in (("GET", "/v1/albums"), ("POST", "/v1/uploads")):
                headers = {"Authorization": header}
                async with session.request(
                    method, photos.base_url + path, headers=headers
                ) as response:
                    assert response.status == 401
                    assert (await response.json())["error"]["status"] == "UNAUTHENTICATED"
            assert photos.meter.used_in_all() == 0

    run(main())


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        ((READ,), "POST", "/v1/uploads", 403),
        ((READ,), "POST", "/v1/albums", 403),
        ((READ,), "POST", "/v1/mediaItems:batchCreate", 403),
        ((APPEND,), "GET", "/v1/albums", 403),
        ((APPEND,), "GET", "/v1/mediaItems", 403),
        ((APPEND,), "POST", "/v1/albums/x:batchRemoveMediaItems", 403),
        ((READ,), "POST", "/v1/albums/x:batchAddMediaItems", 403),
        ((EDIT,), "POST", "/v1/albums/x:batchAddMediaItems", 400),
        ((APPEND,), "POST", "/v1/albums/x:batchAddMediaItems", 400),
        ((READ,), "GET", "/v1/albums", 200),
    ],
)
def test_a_method_needs_its_scope(
    run: Run, scopes: tuple[str, ...], method: str, path: str, status: int
) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, signed_in(photos, scopes) as client:
            answer = await client.send(method, path)
            assert answer.status == status
            if status == 403:
                assert answer.error == {
                    "code": 403,
                    "message": "Request had insufficient authentication scopes.",
                    "status": "PERMISSION_DENIED",
                }

    run(main())


def test_bytes_without_any_token_are_refused_with_the_short_body(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            async with session.post(f"{photos.base_url}/v1/uploads", data=b"x") as response:
                assert response.status == 401
                assert await response.json() == {
                    "code": 16,
                    "message": "Authentication session is not defined.",
                }
            async with session.get(f"{photos.base_url}/v1/albums") as response:
                assert response.status == 401
                assert (await response.json())["error"]["status"] == "UNAUTHENTICATED"

    run(main())


def test_revoked_tokens_are_refused_everywhere(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            credentials = photos.issue_credentials()
            photos.revoke_tokens()
            assert (await client.get("/v1/albums")).status == 401
            status, body = await token(
                photos,
                client.session,
                grant_type="refresh_token",
                refresh_token=credentials.refresh_token,
            )
            assert (status, body["error"]) == (400, "invalid_grant")
            assert body["error_description"] == "Token has been expired or revoked."

    run(main())


def test_the_endpoints_that_tell_and_revoke(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            query = {"access_token": client.token}
            async with client.session.get(photos.token_info_url, params=query) as response:
                told = await response.json()
            assert told["aud"] == photos.client_id
            assert set(told["scope"].split()) == set(SCOPES)
            assert 3_500 < int(told["expires_in"]) <= 3_599
            form = {"token": client.token}
            for expected in (200, 400):
                async with client.session.post(photos.revoke_url, data=form) as response:
                    assert response.status == expected
            async with client.session.get(photos.token_info_url, params=query) as response:
                assert (await response.json())["error"] == "invalid_token"

    run(main())


def test_the_client_may_name_itself_in_a_header(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, browser(photos) as session:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": photos.issue_credentials().refresh_token,
            }
            for secret, expected in ((photos.client_secret, 200), ("wrong", 401)):
                pair = base64.b64encode(f"{photos.client_id}:{secret}".encode()).decode()
                headers = {"Authorization": f"Basic {pair}"}
                async with session.post(photos.token_url, data=form, headers=headers) as response:
                    assert response.status == expected

    run(main())

"""A Google Photos of one's own: a faithful local service for tests and for trying things out.

    async with FakeGooglePhotos(faults=FaultPlan(0.05, seed=1), tls=True) as photos:
        credentials = photos.issue_credentials()
        ...  # a program that uploads to photos.base_url and trusts photos.ca_file
        assert photos.library.albums[0].title == "Lisbon"

Or by hand: `python -m fake_google_photos --port 8080 --faults 0.05`. It knows sign-in with PKCE,
uploads raw and resumable, batchCreate with a status for each item, albums, quotas, and Google's
error bodies, with faults that come again with the same seed. Sharing, filters and enrichments are
not there.
"""

from .clock import Clock
from .faults import At, Fault, FaultPlan, Kind
from .library import Album, Item, Library
from .oauth import APPEND, EDIT, READ, SCOPES, Credentials
from .quota import Limits, Quota
from .service import FakeGooglePhotos

__all__ = [
    "APPEND",
    "EDIT",
    "READ",
    "SCOPES",
    "Album",
    "At",
    "Clock",
    "Credentials",
    "FakeGooglePhotos",
    "Fault",
    "FaultPlan",
    "Item",
    "Kind",
    "Library",
    "Limits",
    "Quota",
]

"""`python -m batuta_photos` is the command `batuta-photos`."""

import sys

from batuta_photos.cli import main

sys.exit(main())

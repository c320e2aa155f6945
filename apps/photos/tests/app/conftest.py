"""The tests of this folder import what they share from `world`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

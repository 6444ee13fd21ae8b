"""Settings of all tests.  It also makes `tests` importable: from tests.strategies import …"""

import os

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # what lands must not hang on luck
settings.load_profile("ci" if os.environ.get("CI") else "shared machine")

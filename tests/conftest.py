"""Settings of all tests.  It also makes `tests` importable: from tests.strategies import …"""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

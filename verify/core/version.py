"""The package's version, for everything that names its producer."""

__version__ = "0.1.0"

from tests.run.conftest import workers, write

__all__ = ["workers", "write"]

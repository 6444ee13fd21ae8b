"""Benchmarks and measurements.  Nothing here is imported by the package; see docs/benchmarks.md."""

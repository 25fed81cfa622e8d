"""The command `make check-gpu`: run the tests for CUDA, then the benchmarks, and write one report; see docs/gpu.md.

The package needs only Python's own library, so that it starts on a host where other packages are yet to be installed.
"""

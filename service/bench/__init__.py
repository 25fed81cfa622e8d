"""A load generator that measures a server: `impasto bench`, or `service.bench.processes.measure` from Python.

It needs the `bench` extra but no torch, so that it can easily run on another machine than the server.
"""

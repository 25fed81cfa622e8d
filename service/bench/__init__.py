"""A load generator for the service: `impasto bench`, or `service.bench.processes.measure` from Python.

It needs the `bench` extra and no torch, so that it can run on another machine than the server.
"""

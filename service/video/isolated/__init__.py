"""Films that strangers send: decoded and encoded by a process of their own, which may die without harm to the server.

The server paints: frames go to it, and paintings come back, over pipes.
"""

"""How a model is used: the HTTP service, its engine, its command line and its client.

`service.client` needs only httpx and pydantic; everything else needs the `serve` extra.
"""

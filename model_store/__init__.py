"""What a model is: transform nets, model cards and the store that keeps them.

`model_store.card` needs only pydantic, so that clients can read cards without torch; everything else needs
the `serve` or `train` extra.
"""

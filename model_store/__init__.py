"""The models: transform nets, the cards that describe them, and the store that keeps both.

`model_store.card` needs only pydantic, so that clients can read cards without torch; the nets and the store need the
`serve` or `train` extra.
"""

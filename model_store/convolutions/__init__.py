"""Ways to compute the convolutions of nets in fewer operations, for serving and training alike."""

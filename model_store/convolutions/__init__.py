"""Ways to compute the convolutions of nets in fewer operations, both for serving and for training."""

"""How a model is made and measured: losses, loss networks, photos, training and evaluation."""

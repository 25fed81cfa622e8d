"""The trainer makes models and measures them: losses, loss networks, photos, training and evaluation."""

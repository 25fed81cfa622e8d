"""Galleries, which are files that say how each of many styles is trained; `bundled.toml` is that of this project."""

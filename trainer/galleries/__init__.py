"""Galleries: files that name styles and how each is trained, and training all of them; `bundled.toml` comes along."""

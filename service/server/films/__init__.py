"""Films that are sent to the server: told from pictures, kept on disk, and answered while they are made."""

"""One picture's way from the bytes of an upload to the bytes of an answer."""

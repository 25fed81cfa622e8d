"""The pipeline that makes the bytes of an answer from the bytes of an upload."""

"""The structure of files: what is checked, in bounded time and memory, before a library reads a file."""

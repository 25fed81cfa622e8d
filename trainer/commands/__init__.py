"""The commands of `impasto train` and `impasto evaluate`, one file each."""

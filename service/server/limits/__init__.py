"""The limits that keep the server from doing too much: API keys, admission, deadlines and shared work."""

"""The connections of clients: what each may hold and for how long, and which is closed where there are too many."""

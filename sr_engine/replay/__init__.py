"""Message fixtures: files that say what is given, what is sent and what must come of it, and what plays them."""

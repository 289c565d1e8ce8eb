"""Where entries go that the server does not get: the last resort, and ``on_drop``."""

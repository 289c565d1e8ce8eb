"""The page at GET /: what the emulator holds and what arrives, seen in a browser."""

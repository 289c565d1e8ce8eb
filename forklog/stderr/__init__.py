"""The user's terminal: lines for people, and entries where nothing else is left."""

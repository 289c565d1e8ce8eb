"""The server side of a run: a process of its own that counts what arrives and answers at once."""

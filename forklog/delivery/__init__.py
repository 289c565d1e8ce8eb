"""One process's pipeline: buffer, worker, sender, and the account of every entry."""

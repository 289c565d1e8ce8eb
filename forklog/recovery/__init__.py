"""`forklog recover`: sends what killed processes left in a spool, or wrote to a last resort."""

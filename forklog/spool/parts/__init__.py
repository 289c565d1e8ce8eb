"""Parts of one living spool: its place, its segments, and the room and the reading of these."""

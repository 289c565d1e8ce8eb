"""Parts of one living spool: its place, and the room and the reading of its segments."""

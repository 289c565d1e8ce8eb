"""Parts of the segments of one living spool: their room, and how they are read."""

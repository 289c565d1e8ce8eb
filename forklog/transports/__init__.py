"""Step 8, the wire: how a batch of entries leaves the process."""

"""The wire: how a batch of entries leaves the process."""

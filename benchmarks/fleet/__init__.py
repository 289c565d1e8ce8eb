"""A simulated fleet under one quota: forklog's rules beside those of other senders."""

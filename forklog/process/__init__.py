"""What the operating system and the servers do: forks, exits, threads, hand-over."""

"""What the facts mean: pure functions that yield findings."""

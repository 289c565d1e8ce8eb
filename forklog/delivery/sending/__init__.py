"""One pass of work: which batch goes next, the attempt, and what becomes of it."""

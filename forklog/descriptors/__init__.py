"""Which numbers the descriptors of forklog have: a value that every room shares."""

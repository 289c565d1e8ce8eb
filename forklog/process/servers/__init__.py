"""One file for each server: how to detect it, how to connect, which of its ends run no hook."""

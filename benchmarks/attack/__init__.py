"""Attacks trees of processes and compares their ledgers with the emulator; `make soak` runs it."""

"""Faults on demand: which are armed, and what they do to a call."""

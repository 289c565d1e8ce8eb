"""The Logging query language: text to a predicate on entries; pure."""

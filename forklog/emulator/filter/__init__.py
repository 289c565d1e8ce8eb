"""The Logging query language: the text of a filter becomes a test of entries. Pure."""

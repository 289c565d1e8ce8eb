"""The trace, the request and the bound fields of the caller."""

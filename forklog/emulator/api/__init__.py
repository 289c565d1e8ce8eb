"""The calls of the Logging API: request bodies to stored rows, and rows to pages."""

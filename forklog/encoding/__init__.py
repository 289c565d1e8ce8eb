"""From a `logging.LogRecord` to the bytes of LogEntry objects. Pure."""

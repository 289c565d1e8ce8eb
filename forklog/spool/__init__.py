"""The spool: entries in mapped files, which outlive the process that logged them."""

"""What a uWSGI master holds for its workers: copies of it in a spool of the master's own."""

"""Settings of gunicorn: its own records, and the application's, go to Cloud Logging."""

bind = "127.0.0.1:8000"
workers = 2

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(process)d %(name)s: %(message)s"}},
    "handlers": {
        "cloud": {"class": "forklog.CloudLoggingHandler", "log_name": "web"},
        "console": {"class": "logging.StreamHandler", "formatter": "plain"},
    },
    "root": {"level": "INFO", "handlers": ["cloud"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["cloud", "console"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["cloud", "console"], "propagate": False},
    },
}

"""A program that logs by structlog, whose fields become keys of jsonPayload.

    python app.py

It sends to what LOGGING_EMULATOR_HOST names, else to Google's server.
"""

from __future__ import annotations

import structlog

import forklog

forklog.setup(log_name="shop", uncaught=True)
structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, forklog.structlog_processor],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
logger = structlog.get_logger("shop")

if __name__ == "__main__":
    with structlog.contextvars.bound_contextvars(order=17):
        logger.info("order is packed", parcels=2)
        logger.warning("order has no address", labels={"team": "post"})

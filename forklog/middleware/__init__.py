"""Middlewares that give each record the trace and the request it belongs to.

None of them imports a framework.
"""

from __future__ import annotations

from forklog.context.aiohttp import aiohttp_middleware
from forklog.context.asgi import ASGIMiddleware
from forklog.context.django import DjangoMiddleware
from forklog.context.wsgi import WSGIMiddleware

__all__ = ["ASGIMiddleware", "DjangoMiddleware", "WSGIMiddleware", "aiohttp_middleware"]

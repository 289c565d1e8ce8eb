"""A larger Django: all of its contrib, numpy, and a catalogue of 100,000 products in memory."""

from __future__ import annotations

import logging
import os

import numpy as np
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.subjects import make

subject = make(os.environ["BENCH_SUBJECT"])
subject.start(int(os.environ["BENCH_PORT"]))
logger = logging.getLogger("shop.orders")

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    SECRET_KEY="benchmark",  # noqa: S106 - signs nothing
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        f"django.contrib.{name}"
        for name in (
            "admin", "admindocs", "auth", "contenttypes", "flatpages", "humanize", "messages",
            "redirects", "sessions", "sitemaps", "sites", "staticfiles", "syndication",
        )
    ],
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)  # fmt: skip


def home(_request: HttpRequest) -> JsonResponse:
    """Log, look something up, and say who did it."""
    logger.info("%d products, mean price %.2f", len(CATALOGUE), PRICES.mean())
    return JsonResponse({"pid": os.getpid()})


urlpatterns = [path("", home)]
application = get_wsgi_application()

from django.contrib import admin  # noqa: E402 - wants the settings
from django.contrib.auth import models  # noqa: E402

CATALOGUE = {
    f"sku-{number}": {"name": f"product {number}", "price": number / 7, "tags": ("new", "sale")}
    for number in range(100_000)
}
PRICES = np.array([product["price"] for product in CATALOGUE.values()])
assert admin.site.is_registered(models.User)

"""Settings of the tests, with django-unfold as the theme of the admin."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = ["unfold", "unfold.contrib.filters", *INSTALLED_APPS, "tests.browser.unfold.apps.ThemedConfig"]
MIDDLEWARE = [MIDDLEWARE[0], "django.middleware.locale.LocaleMiddleware", *MIDDLEWARE[1:]]
ALLOWED_HOSTS = ["localhost"]

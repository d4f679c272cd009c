"""Settings of the demo. Everything that differs between a laptop and a server comes from the environment.

DJANGO_DEBUG (on unless 0), DJANGO_SECRET_KEY and DJANGO_ALLOWED_HOSTS (needed without debug), DATABASE_URL (SQLite
unless given), REDIS_URL, DEMO_DIR (where the database file and the uploads are kept), DEMO_PACE (seconds, below),
SUMMARY_URL, SUMMARY_MODEL and SUMMARY_KEY (of a model behind HTTP).
"""

from __future__ import annotations

import os
from pathlib import Path

import dj_database_url
import django
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_DIR = Path(os.environ.get("DEMO_DIR") or BASE_DIR / ".demo")

DEBUG = os.environ.get("DJANGO_DEBUG", "1").lower() not in {"", "0", "false", "no", "off"}

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "")
if DEBUG and not SECRET_KEY:
    SECRET_KEY = "known to everybody, for one's own machine only"
if not SECRET_KEY:
    raise ImproperlyConfigured("DJANGO_SECRET_KEY is needed when DJANGO_DEBUG is 0.")
ALLOWED_HOSTS = [host for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "continuations",
    "django_rq",
    "demo_project.stories",
    "demo_project.imports",
    "demo_project.reports",
    "demo_project.mails",
    "demo_project.approvals",
    "demo_project.accounts",
    "demo_project.cleanup",
    "demo_project.catalogue",
    "demo_project.history",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    (
        "django.middleware.csp.ContentSecurityPolicyMiddleware"
        if django.VERSION >= (6, 0)
        else "demo_project.csp.ContentSecurityPolicyMiddleware"
    ),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

SECURE_CSP = {
    "default-src": ["'self'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}

if not DEBUG:
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

ROOT_URLCONF = "demo_project.urls"
WSGI_APPLICATION = "demo_project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

if os.environ.get("DATABASE_URL"):
    DATABASES = {"default": dj_database_url.config()}
else:
    DEMO_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DEMO_DIR / "db.sqlite3")}}

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # The web server and a worker write to one file: take the lock when a transaction begins, and wait for it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
# Queues of the demo's workers. Nobody listens on "nightly", so that one sees what happens then.
WORKER_QUEUES = ["default", "imports"]
RQ_QUEUES = {name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 360} for name in (*WORKER_QUEUES, "nightly")}

LANGUAGE_CODE = "en"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DEMO_DIR / "static"
MEDIA_ROOT = DEMO_DIR / "uploads"

# Mails become files, which the pages show. Seconds that each takes, as with a server somewhere.
OUTBOX_DIR = DEMO_DIR / "mails"
OUTBOX_SECONDS = 0.03
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "demo_project.mails.outbox.EmailBackend", "OPTIONS": {"file_path": OUTBOX_DIR}}}
else:
    EMAIL_BACKEND = "demo_project.mails.outbox.EmailBackend"
    EMAIL_FILE_PATH = OUTBOX_DIR

# Seconds that a page of a document takes to read; a call of the model, a file and a mail take several times as long.
REPORTS_PACE = float(os.environ.get("DEMO_PACE") or 0.5)
# A model behind HTTP summarises the reports where there is one, say http://127.0.0.1:11434/v1/chat/completions.
if os.environ.get("SUMMARY_URL"):
    SUMMARY_ENDPOINT = {
        "url": os.environ["SUMMARY_URL"],
        "model": os.environ.get("SUMMARY_MODEL", ""),
        "key": os.environ.get("SUMMARY_KEY", ""),
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {name} {message}", "style": "{", "datefmt": "%H:%M:%S"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "continuations": {"handlers": ["console"], "level": "INFO"},
        # The pages poll every second or two: their requests would hide the lines above.
        "django.server": {"level": "WARNING"},
    },
}

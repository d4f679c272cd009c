"""Settings of the tests. `DATABASE_URL` and `REDIS_URL` choose the servers; without them SQLite and an own Valkey."""

import os
import tempfile
from pathlib import Path

import dj_database_url
import django

SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
ROOT_URLCONF = "demo_project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
BASE_DIR = Path(__file__).resolve().parent.parent

_sqlite = Path(os.environ.get("TEST_SQLITE", Path(tempfile.gettempdir()) / f"continuations-{os.getpid()}.sqlite3"))
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL") or f"sqlite:///{_sqlite}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
    # A file, not memory: worker processes look at it too.
    DATABASES["default"]["TEST"] = {"NAME": str(DATABASES["default"]["NAME"])}
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    DATABASES["default"]["TEST"] = {"CHARSET": "utf8mb4"}
# A second database, for work of jobs that is not where the continuations are.
DATABASES["other"] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": f"{_sqlite}-other",
    "TEST": {"NAME": ":memory:", "MIGRATE": False},
}

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0")
RQ_QUEUES = {
    "default": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180},
    "imports": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180},
    "nightly": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180},
    "slow": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180},
    "json": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180, "SERIALIZER": "rq.serializers.JSONSerializer"},
    "sync": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 180, "ASYNC": False},
}
CONTINUATIONS = {"DELIVERY": os.environ.get("TEST_DELIVERY", "continuations.testing.MemoryDelivery")}

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
    "tests.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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
            ]
        },
    }
]
STATIC_URL = "static/"
DEMO_DIR = Path(tempfile.gettempdir()) / f"continuations-demo-{os.getpid()}"
MEDIA_ROOT = Path(tempfile.gettempdir()) / f"continuations-media-{os.getpid()}"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
OUTBOX_DIR = Path(tempfile.gettempdir()) / f"continuations-mails-{os.getpid()}"
OUTBOX_SECONDS = 0.0
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "demo_project.mails.outbox.EmailBackend", "OPTIONS": {"file_path": OUTBOX_DIR}}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"continuations": {"handlers": ["console"], "level": "INFO", "propagate": True}},
}

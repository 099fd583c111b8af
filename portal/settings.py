"""Every setting of Pilothouse, read from the environment once.

Each variable can also be given as NAME_FILE, naming a file that holds the value (Docker and
Kubernetes secrets). Where the launcher runs the embedded services it writes their addresses and
secrets to `var/embedded.json`; they serve as defaults for variables that are not set.
"""

import json
import os
from pathlib import Path

import environ
from csp.constants import NONE, SELF

BASE_DIR = Path(__file__).resolve().parent.parent

# Where the embedded services, the sandbox and generated secrets live.
VAR_DIR = Path(os.environ.get("PILOTHOUSE_VAR") or BASE_DIR / "var")

_embedded = VAR_DIR / "embedded.json"
if _embedded.is_file():
    for _name, _value in json.loads(_embedded.read_text()).items():
        os.environ.setdefault(_name, _value)

env = environ.FileAwareEnv()

# --- Core -----------------------------------------------------------------------------------
# SECRET_KEY signs sessions and CSRF tokens. Required outside the embedded set-up.
SECRET_KEY = env.str("SECRET_KEY", default="insecure: set SECRET_KEY or start with ./pilothouse up")
# PILOTHOUSE_DEBUG shows tracebacks in the browser. Never on in production.
DEBUG = env.bool("PILOTHOUSE_DEBUG", default=False)
# PILOTHOUSE_HOSTS: host names the portal answers to, comma separated.
ALLOWED_HOSTS = env.list("PILOTHOUSE_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# PILOTHOUSE_ORIGINS: https://host of each public address behind a proxy.
CSRF_TRUSTED_ORIGINS = env.list("PILOTHOUSE_ORIGINS", default=[])
# PILOTHOUSE_TLS: the portal is reached over HTTPS only (secure cookies, HSTS, redirects).
TLS = env.bool("PILOTHOUSE_TLS", default=False)
# PILOTHOUSE_TRUSTED_PROXY: the proxy in front sets X-Forwarded-Proto; trust it.
if env.bool("PILOTHOUSE_TRUSTED_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "portal",
    "portal.base",
    "fleet",
    "deploy",
    # The admin of every room is loaded with the addresses: only the web process needs it.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "channels",
    "csp",
    "django_htmx",
]

MIDDLEWARE = [
    "portal.base.requests.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.base.rest.guard.ApiGuardMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
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
                "portal.dashboard.context.chrome",
            ],
        },
    }
]

# --- Database -------------------------------------------------------------------------------
# DATABASE_URL: postgres://user:password@host:port/name. PostgreSQL only: row locks with
# SKIP LOCKED, NOTIFY and partial indexes carry the engine.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://localhost/pilothouse")}
# A pooled connection that broke meanwhile (the server was restarted) is replaced, not handed out.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["OPTIONS"] = {
    # DATABASE_POOL_SIZE: connections per process.
    "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=12), "timeout": 10},
    "connect_timeout": 5,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---------------------------------------------------------------------------------
AUTH_USER_MODEL = "base.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "fleet"
LOGOUT_REDIRECT_URL = "sign_in"
# SESSION_HOURS: a session ends after this many hours.
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=24) * 3600
# API_KEY_PEPPER: secret mixed into stored API key digests; API_KEY_PEPPER_ID names it.
API_KEY_PEPPER = env.str("API_KEY_PEPPER", default=SECRET_KEY)
API_KEY_PEPPER_ID = env.str("API_KEY_PEPPER_ID", default="1")
# FIELD_ENCRYPTION_KEYS: Fernet keys, newest first; older ones only decrypt.
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS", default=[])

# --- Browser security -----------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "connect-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
CSRF_FAILURE_VIEW = "portal.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
if TLS:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes come without TLS
    SECURE_HSTS_SECONDS = 31_536_000
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"

# --- Kubernetes -----------------------------------------------------------------------------
# PILOTHOUSE_ALLOW_LOOPBACK_CLUSTERS: accept clusters on 127.0.0.1 (the launcher turns it on).
ALLOW_LOOPBACK_CLUSTERS = env.bool("PILOTHOUSE_ALLOW_LOOPBACK_CLUSTERS", default=False)

# --- Delivery engine ------------------------------------------------------------------------
# ENGINE_LEASE_SECONDS: how long a claimed rollout is reserved for one worker.
ENGINE_LEASE_SECONDS = env.float("ENGINE_LEASE_SECONDS", default=30.0)
# ENGINE_TICK_BUDGET_SECONDS: all calls of one tick together; must stay below the lease.
ENGINE_TICK_BUDGET_SECONDS = env.float("ENGINE_TICK_BUDGET_SECONDS", default=20.0)
# PROGRESS_DEADLINE_SECONDS: default time without progress before a rollout is aborted.
PROGRESS_DEADLINE_SECONDS = env.int("PROGRESS_DEADLINE_SECONDS", default=600)
# EVENT_RETENTION_HOURS: how long events can be resumed from.
EVENT_RETENTION_HOURS = env.int("EVENT_RETENTION_HOURS", default=24)

# --- Celery ---------------------------------------------------------------------------------
# REDIS_URL: broker (Redis >= 6.2 or Valkey; amqp:// works too). It may be down: delivery only
# slows, because the dispatcher then runs ticks itself.
CELERY_BROKER_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 25
CELERY_TASK_TIME_LIMIT = 30
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ROUTES = {"portal.tasks.*": {"queue": "notify"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
# Options of kombu's Redis transport; AMQP knows none of them.
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 120,
        # A lost task returns after seconds instead of ~105 s (kombu transport/redis.py).
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 0.5,
        "socket_timeout": 5,
    }
# Housekeeping only: nothing in delivery depends on beat.
CELERY_BEAT_SCHEDULE = {
    "forget_old_events": {"task": "portal.tasks.forget_old_events", "schedule": 3600.0},
}

# --- REST API -------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.base.api_keys.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["portal.base.access.SignedInWithScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.base.rest.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "portal.base.rest.Pagination",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.SearchFilter",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_THROTTLE_RATES": {"user": env.str("API_RATE", default="1200/min")},
    "EXCEPTION_HANDLER": "portal.base.rest.problem_response",
    "DEFAULT_SCHEMA_CLASS": "portal.base.rest.schema.ApiSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    # `?format=` is an unknown parameter like any other.
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Pilothouse API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}
# API_MAX_BODY_BYTES: larger request bodies are answered 413.
API_MAX_BODY_BYTES = env.int("API_MAX_BODY_BYTES", default=1_048_576)
DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_BYTES

# --- Static files ---------------------------------------------------------------------------
STATIC_URL = "/static/"
# PILOTHOUSE_STATIC_ROOT: where `collectstatic` puts them, for a web server that serves them itself.
STATIC_ROOT = env.str("PILOTHOUSE_STATIC_ROOT", default=None)
# Served straight from the apps: no collectstatic step between an edit and the page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 300

# --- Language, time, logs -------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
SESSION_SAVE_EVERY_REQUEST = False
# LOG_LEVEL: DEBUG, INFO, WARNING or ERROR.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
    },
}

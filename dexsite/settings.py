"""Every setting of dex. This module is the only reader of os.environ; docs/settings.md lists the names."""

import hashlib
import os
from pathlib import Path
from typing import Any

import dj_database_url

from dexsite.configuration import Reader, broker_tls, mail_server
from flows.infra.private_files import close_to_others, key_file

BASE_DIR = Path(__file__).resolve().parent.parent
_read = Reader(os.environ)

# --- where things are ------------------------------------------------------------------------------------
DEX_HOME = _read.folder(Path(_read.text("DEX_HOME", str(BASE_DIR / ".dex"))).expanduser().resolve(), "DEX_HOME")
PRODUCTION = _read.flag("DEX_PRODUCTION")
DEBUG = _read.flag("DEX_DEBUG")
SECRET_KEY = _read.text("DEX_SECRET_KEY")
ALLOWED_HOSTS = [h.strip() for h in _read.text("DEX_ALLOWED_HOSTS").split(",") if h.strip()]

if PRODUCTION:
    if DEBUG:
        _read.complain("DEX_DEBUG must be off when DEX_PRODUCTION is on")
    _is_default = SECRET_KEY.lower().startswith(("django-insecure", "change"))
    if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10 or _is_default:
        _read.complain(
            "DEX_SECRET_KEY must be set to a random text of 50 characters or more in production; create one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
        _read.complain(
            "DEX_ALLOWED_HOSTS must list the host names that dex serves, separated by commas; * is not allowed"
        )
elif not SECRET_KEY and DEX_HOME.is_dir():
    try:
        SECRET_KEY = key_file(DEX_HOME / "keys" / "secret_key")
    except OSError as error:
        _read.complain(f"DEX_HOME: the key file {error.filename} cannot be read or created: {error.strerror}")
    if not SECRET_KEY and not _read.complaints:
        _read.complain(f"DEX_HOME: the key file {DEX_HOME / 'keys' / 'secret_key'} is empty; remove it for a new one")
if not ALLOWED_HOSTS:
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

# Tells this installation's connections to a warehouse from those of another.
INSTALLATION = hashlib.sha256(f"installation {SECRET_KEY}".encode()).hexdigest()[:10]

# --- what it is made of ----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "dexsite.apps.DexAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",  # its own templates of widgets, beside ours
    "django_celery_beat",
    "django_htmx",
    "flows",
    "nodes",
    "runs",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "flows.access.ActingMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "dexsite.urls"
WSGI_APPLICATION = "dexsite.wsgi.application"
ASGI_APPLICATION = "dexsite.asgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "home"
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
                "dexsite.navigation.navigation",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "flows.logins.tokens.RevokedWithPassword"},
]

# --- the database ----------------------------------------------------------------------------------------
DATABASE_URL = _read.text("DATABASE_URL") or f"sqlite:///{DEX_HOME / 'dex.sqlite3'}"
try:
    _database: Any = dj_database_url.parse(DATABASE_URL)
except (ValueError, KeyError):  # what it says may hold the password
    _database = {"ENGINE": ""}
    _read.complain("DATABASE_URL is not valid; use postgresql://user:password@host:5432/name")
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        "timeout": 20,
        # A transaction that means to write says so at its start; DEFERRED ones fail when they upgrade.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    if not _database["NAME"] or ":memory:" in _database["NAME"]:
        _read.complain("DATABASE_URL must name a file: the processes of dex share their database")
        _database["NAME"] = str(DEX_HOME / "dex.sqlite3")
    _database["TEST"] = {"NAME": str(DEX_HOME / "test.sqlite3")}  # a file: threads and processes share it
    if Path(_database["NAME"]).parent != DEX_HOME:
        _read.folder(Path(_database["NAME"]).parent, "DATABASE_URL")
elif _database["ENGINE"].endswith("postgresql"):
    _database["CONN_HEALTH_CHECKS"] = True
    _database.setdefault("OPTIONS", {})["options"] = (
        "-c statement_timeout=15s -c lock_timeout=2s -c idle_in_transaction_session_timeout=30s"
    )
    _database["OPTIONS"].setdefault("connect_timeout", 5)
elif _database["ENGINE"]:
    _read.complain("DATABASE_URL must name SQLite or PostgreSQL")
DATABASE_FILE = Path(_database["NAME"]) if _database["ENGINE"].endswith("sqlite3") else None
close_to_others(DEX_HOME, DATABASE_FILE)
_database["CONN_MAX_AGE"] = 60
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- celery ----------------------------------------------------------------------------------------------
CELERY_BROKER_URL = _read.text("CELERY_BROKER_URL") or "memory://"
# Embedded: one engine process holds worker, beat and broker; other processes wake it through a socket.
EMBEDDED = CELERY_BROKER_URL.startswith("memory://")
if CELERY_BROKER_URL.partition("://")[0] not in ("memory", "redis", "rediss", "amqp", "amqps"):
    _read.complain("CELERY_BROKER_URL must be redis://... or amqp://..., or left out for the embedded engine")
if EMBEDDED and _database["ENGINE"].endswith("postgresql") and PRODUCTION:
    _read.complain("CELERY_BROKER_URL must be set (redis:// or amqp://) when DATABASE_URL is a server")
WORKER_THREADS = _read.count("DEX_WORKER_THREADS", 8)
CELERY_WORKER_POOL = "threads"  # sessions of dbt are shared by the threads of a worker
CELERY_WORKER_CONCURRENCY = WORKER_THREADS
# Several workers share a broker fairly when each takes only what it starts. The embedded one has nobody to share with,
# and looks for messages 20 times a second once it has as many as it may.
CELERY_WORKER_PREFETCH_MULTIPLIER = 8 if EMBEDDED else 1
CELERY_WORKER_TIMER_PRECISION = 0.25  # seconds that a worker takes to notice that it ends
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_ACKS_LATE = False  # the lease decides, not the broker
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_EAGER_RESULT = False
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "dex"
CELERY_BROKER_CONNECTION_RETRY = CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 2
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "health_check_interval": 10,
        "retry_on_timeout": True,
    }
elif EMBEDDED:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.05}
if (_tls := broker_tls(CELERY_BROKER_URL)) is not None:
    CELERY_BROKER_USE_SSL = _tls
# Whoever reaches the broker may not stop workers, or make them tell what they do; dex needs neither.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"

# --- the engine: every time is in seconds and can be scaled down by tests ---------------------------------
HEARTBEAT_S = _read.number("DEX_HEARTBEAT_S", 10, least=0.05)
SELF_FENCE_S = _read.number("DEX_SELF_FENCE_S", 30, least=0.1)
LEASE_S = _read.number("DEX_LEASE_S", 60, least=0.2)
SWEEP_S = _read.number("DEX_SWEEP_S", 5, least=0.05)
CANCEL_POLL_S = _read.number("DEX_CANCEL_POLL_S", 1, least=0.05)
SHUTDOWN_GRACE_S = _read.number("DEX_SHUTDOWN_GRACE_S", 600)
KILL_GRACE_S = _read.number("DEX_KILL_GRACE_S", 10)
INFRA_ATTEMPTS = _read.count("DEX_INFRA_ATTEMPTS", 3)
INFRA_BACKOFF_S = _read.number("DEX_INFRA_BACKOFF_S", 30)
CALENDAR_CROWD = _read.count("DEX_CALENDAR_CROWD", 10)
TICK_GRACE_S = _read.number("DEX_TICK_GRACE_S", 300, least=0)
START_TIMEOUT_S = _read.number("DEX_START_TIMEOUT_S", 24 * 3600, least=1)
TASK_TIMEOUT_S = _read.number("DEX_TASK_TIMEOUT_S", 3600, least=0.1)
SESSION_OPEN_TIMEOUT_S = _read.number("DEX_SESSION_OPEN_TIMEOUT_S", 300, least=1)
SESSION_WARM_S = _read.number("DEX_SESSION_WARM_S", 600)
PARSE_TIMEOUT_S = _read.number("DEX_PARSE_TIMEOUT_S", 600, least=1)
PLAN_TIMEOUT_S = _read.number("DEX_PLAN_TIMEOUT_S", 1200, least=1)
API_STARTS_PER_MINUTE = _read.count("DEX_API_STARTS_PER_MINUTE", 60)
# --- connections: where they may connect to, and which folders of this machine they may read; see docs/connections.md
CONNECT_PRIVATE = _read.flag("DEX_CONNECT_PRIVATE")
CONNECT_ALLOW = [entry.strip().lower() for entry in _read.text("DEX_CONNECT_ALLOW").split(",") if entry.strip()]
CONNECT_FILES = [
    entry.strip() for entry in _read.text("DEX_CONNECT_FILES", str(DEX_HOME / "files")).split(",") if entry.strip()
]
if wrong := [entry for entry in CONNECT_FILES if not entry.startswith("/")]:
    _read.complain(f"DEX_CONNECT_FILES must name absolute folders, not {', '.join(wrong)}")
GIT_TIMEOUT_S = _read.number("DEX_GIT_TIMEOUT_S", 300, least=1)
# --- scripts: what they may use and see, and where their packages come from; see docs/scripts.md and isolation.md
ISOLATION = _read.count("DEX_ISOLATION", 2 if PRODUCTION else 0, least=0)
if ISOLATION > 3:
    _read.complain("DEX_ISOLATION is at most 3")
BUBBLEWRAP = _read.flag("DEX_BUBBLEWRAP", True)
_uids = _read.text("DEX_SCRIPT_UIDS", "61184-65519").partition("-")
if not (_uids[0].isdecimal() and _uids[2].isdecimal() and 0 < int(_uids[0]) <= int(_uids[2]) < 2**31):
    _read.complain("DEX_SCRIPT_UIDS must be a range of user ids, such as 61184-65519")
    _uids = ("61184", "-", "65519")
SCRIPT_UIDS = range(int(_uids[0]), int(_uids[2]) + 1)
SCRIPT_MEMORY_MB = _read.count("DEX_SCRIPT_MEMORY_MB", 8192, least=0)
SCRIPT_FILE_MB = _read.count("DEX_SCRIPT_FILE_MB", 20 * 1024, least=0)
SCRIPT_PROCESSES = _read.count("DEX_SCRIPT_PROCESSES", 256)
SCRIPT_OPEN_FILES = _read.count("DEX_SCRIPT_OPEN_FILES", 4096, least=32)
SCRIPT_SETUP_TIMEOUT_S = _read.number("DEX_SCRIPT_SETUP_TIMEOUT_S", 900, least=1)
SCRIPT_RENEW_DAYS = _read.number("DEX_SCRIPT_RENEW_DAYS", 30)
SCRIPT_INDEX_URL = _read.text("DEX_SCRIPT_INDEX_URL")
SCRIPT_FIND_LINKS = _read.text("DEX_SCRIPT_FIND_LINKS")
SCRIPT_OFFLINE = _read.flag("DEX_SCRIPT_OFFLINE")
SCRIPT_BUILD = _read.flag("DEX_SCRIPT_BUILD")
SCRIPT_ANY_REQUIREMENT = _read.flag("DEX_SCRIPT_ANY_REQUIREMENT")
PYTHON_PATH = _read.text("DEX_PYTHON_PATH")  # where Pythons for dbt runtimes are, beside the usual places
# Proxies and certificates of this process, for the programs that fetch packages and commits.
_WAYS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_proxies = {k: v for k, v in os.environ.items() if k.upper() in _WAYS}
_certificates = {k: v for k, v in os.environ.items() if k in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
SCRIPT_INDEX_ENVIRONMENT = {**_proxies, **_certificates}
_authority = os.environ.get("GIT_SSL_CAINFO") or os.environ.get("SSL_CERT_FILE")
GIT_ENVIRONMENT = {**_proxies, **({"GIT_SSL_CAINFO": _authority} if _authority else {})}
LOG_HEAD_BYTES = _read.count("DEX_LOG_HEAD_BYTES", 8 * 1024 * 1024, least=1024)
FAILING_ROWS = _read.count("DEX_FAILING_ROWS", 20, least=0)
LOG_TAIL_BYTES = _read.count("DEX_LOG_TAIL_BYTES", 1024 * 1024, least=1024)
# How long the past is kept; 0: for ever. What is active, and the latest of every flow, always stays.
KEEP_RUNS_DAYS = _read.count("DEX_KEEP_RUNS_DAYS", 90, least=0)
KEEP_LOGS_DAYS = _read.count("DEX_KEEP_LOGS_DAYS", 30, least=0)
KEEP_TICKS_DAYS = _read.count("DEX_KEEP_TICKS_DAYS", 90, least=0)
KEEP_REVISIONS = _read.count("DEX_KEEP_REVISIONS", 10, least=0)
NOTIFY_LATE_S = _read.number("DEX_NOTIFY_LATE_S", 600, least=1)
NOTIFY_PRIVATE = _read.flag("DEX_NOTIFY_PRIVATE")
NOTIFY_ALLOW = [entry.strip() for entry in _read.text("DEX_NOTIFY_ALLOW").split(",") if entry.strip()]
SITE_URL = _read.text("DEX_SITE_URL").rstrip("/")
if SITE_URL and not SITE_URL.startswith(("http://", "https://")):
    _read.complain("DEX_SITE_URL must begin with https:// or http://, such as https://dex.example.org")
_mail = mail_server(_read.text("DEX_EMAIL_URL"))
if _mail is None:  # what it says may hold the password
    _read.complain("DEX_EMAIL_URL is not valid; use smtp://user:password@host:587?tls=1 or smtps://...:465")
else:
    EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL = _mail
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _read.text("DEX_EMAIL_FROM", "dex@localhost")
if not HEARTBEAT_S < SELF_FENCE_S < LEASE_S:
    _read.complain(
        "DEX_HEARTBEAT_S < DEX_SELF_FENCE_S < DEX_LEASE_S must be true, or two workers could run the same task"
    )
# dbt's own convention: DBT_* reach the project's env_var(), values of DBT_ENV_SECRET_* are masked in logs.
DBT_ENVIRONMENT = {k: v for k, v in os.environ.items() if k.startswith(("DBT_", "DEX_DUCKDB_", "DEX_POSTGRES_"))}
SECRET_ENVIRONMENT = {k: v for k, v in DBT_ENVIRONMENT.items() if k.startswith("DBT_ENV_SECRET_")}

# What a child that is dex itself (the web server of `up`, the processes of benchmarks) inherits.
OWN_ENVIRONMENT = dict(os.environ)

# --- language, time, files -------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "dexsite.formats"
STATIC_URL = "/static/"
STATIC_ROOT = _read.folder(DEX_HOME / "static", "DEX_HOME") if DEX_HOME.is_dir() else DEX_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # a fresh checkout serves its files without collectstatic

# --- security --------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
BEHIND_PROXY = _read.flag("DEX_BEHIND_PROXY")
if PRODUCTION:
    SECURE_SSL_REDIRECT = _read.flag("DEX_SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
    SECURE_HSTS_SECONDS = 31536000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-dex", "__Host-dexcsrf"
AUTHENTICATION_BACKENDS = ["flows.logins.backend.ThrottledBackend"]
PASSWORD_HASHERS = [
    "flows.logins.hashing.TurnHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # a flow has half of that at most; beyond it the request is refused
FILE_UPLOAD_HANDLERS = ["dexsite.uploads.SmallFiles"]
TOKEN_MAX_DAYS = _read.count("DEX_TOKEN_MAX_DAYS", 365)
if TOKEN_MAX_DAYS > 36500:
    _read.complain("DEX_TOKEN_MAX_DAYS is at most 36500")
    TOKEN_MAX_DAYS = 365
METRICS_OPEN = _read.flag("DEX_METRICS_OPEN")
OPENLINEAGE_URL = _read.text("DEX_OPENLINEAGE_URL")
OPENLINEAGE_API_KEY = _read.text("DEX_OPENLINEAGE_API_KEY")
OPENLINEAGE_NAMESPACE = _read.text("DEX_OPENLINEAGE_NAMESPACE", "dex")
if OPENLINEAGE_URL and not OPENLINEAGE_URL.startswith(("http://", "https://")):
    _read.complain("DEX_OPENLINEAGE_URL must begin with http:// or https://")

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "flows.infra.log_context.Context"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s%(where)s: %(message)s"},
        # A line is one object: time, level, logger, message, run and task where there are some, and the trace.
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(levelname)s %(name)s %(message)s",
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": "time",
        },
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": _read.one_of("DEX_LOG_FORMAT", "LINE", ("LINE", "JSON")).lower(),
            "filters": ["context"],
        }
    },
    "root": {"handlers": ["stderr"], "level": _read.one_of("DEX_LOG_LEVEL", "WARNING", _LEVELS)},
    "loggers": {
        "dex": {"level": _read.one_of("DEX_LOG_LEVEL", "INFO", _LEVELS)},
        "kombu.connection": {"level": "ERROR"},  # remarks at every connection to memory://
        "urllib3": {"level": "INFO"},  # DEBUG writes paths of webhooks, which are secrets
    },
}

_read.check()

"""All settings, read from the environment by strict helpers. docs/reference/settings.md lists them."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from hub import database, env

ROOT = Path(__file__).resolve().parents[2]
BASE_DIR = ROOT
VAR = Path(env.text("SEODANG_VAR", str(ROOT / "var"))).resolve()
VAR.mkdir(parents=True, exist_ok=True)


def _kept_secret(name: str) -> str:
    """A secret made once and kept in ``var``, where none is given."""
    path = VAR / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


SECRET_KEY = env.text("SEODANG_SECRET_KEY", "") or _kept_secret("secret_key")
DEBUG = env.boolean("SEODANG_DEBUG", False)
PORT = env.integer("SEODANG_PORT", 8400)
ADDRESS = env.text("SEODANG_ADDRESS_PUBLIC", f"http://127.0.0.1:{PORT}").rstrip("/")
ALLOWED_HOSTS = env.text("SEODANG_HOSTS", "localhost,127.0.0.1,[::1],testserver").split(",")
CSRF_TRUSTED_ORIGINS = [one for one in env.text("SEODANG_ORIGINS", "").split(",") if one]
# Behind a proxy that speaks TLS: it must set X-Forwarded-Proto itself, whatever the client sent.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ADDRESS.startswith("https://") else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ADDRESS.startswith("https://")
INSTANCE = env.text("SEODANG_INSTANCE", "") or _kept_secret("instance")[:8].replace("_", "a").replace("-", "b").lower()

DATABASE_URL = env.text("DATABASE_URL", "")
DATABASES = {"default": database.django_settings(DATABASE_URL, VAR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "channels",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "runner",
    "courses.audit",
    "courses.roster",
    "courses.teams",
    "courses.datasets",
    "courses.assignments",
    "courses.submissions",
    "courses.leaderboards",
    "hub.tracking",
    "hub.web",
]
MIDDLEWARE = [
    "hub.web.middleware.no_nul",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "hub.web.middleware.content_security_policy",
]
ROOT_URLCONF = "hub.urls"
ASGI_APPLICATION = "hub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "roster.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
# A whole class signs in from one address in its first lab; what is narrow is bound to the account.
ACCOUNT_RATE_LIMITS = {"login": "600/m/ip", "login_failed": "200/m/ip,10/5m/key", "signup": "300/m/ip"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
# A school's own provider says whose an address is, so who is on the roster with it finds that account.
SOCIALACCOUNT_PROVIDERS = env.openid("SEODANG_OIDC")
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_LOGIN_ON_GET = False
MAIL = env.mail("SEODANG_EMAIL_URL")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if MAIL else 'dummy'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = (MAIL.host, MAIL.port) if MAIL else ("", 0)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = (MAIL.user, MAIL.password) if MAIL else ("", "")
EMAIL_USE_SSL, EMAIL_USE_TLS = (MAIL.ssl, not MAIL.ssl and MAIL.port != 25) if MAIL else (False, False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("SEODANG_EMAIL_FROM", "seodang@localhost")
LOGIN_REDIRECT_URL = "/"
LOGIN_URL = "/accounts/login/"

CHANNEL_REDIS_URL = env.text("CHANNEL_REDIS_URL", "")
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [CHANNEL_REDIS_URL]}}
    if CHANNEL_REDIS_URL
    else {"BACKEND": "hub.live.layer.PostgresLayer"}
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "hub.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PARSER_CLASSES": [
        "hub.api.parsers.BoundedJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "EXCEPTION_HANDLER": "hub.api.errors.handle",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Seodang",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", _("Korean"))]
LOCALE_PATHS = [ROOT / "locale"]
TIME_ZONE = env.text("SEODANG_TIME_ZONE", "Asia/Seoul")
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "static"]
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 << 20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 << 20

BLOBS = VAR / "blobs"
ATTEMPTS = VAR / "attempts"
SDK = ROOT / "client" / "src"  # mounted read-only into every container
CODE_BYTES_MAX = env.integer("SEODANG_CODE_BYTES_MAX", 50 << 20)
BUNDLE_BYTES_MAX = env.integer("SEODANG_BUNDLE_BYTES_MAX", 1 << 30)
CPU_SLOTS = env.integer("SEODANG_CPU_SLOTS", 2)  # what a node without GPUs offers
GPU_SLOTS = env.integer("SEODANG_GPU_SLOTS", 1, least=1)  # runs that share one GPU
DOCKER_HOST = env.text("DOCKER_HOST", "unix:///var/run/docker.sock")
# A Unix socket's path may have 107 bytes, so the sockets live under a short folder.
SOCKETS = Path(env.text("SEODANG_SOCKETS", f"/tmp/seodang-{INSTANCE}"))
MLFLOW_ENABLED = env.boolean("SEODANG_MLFLOW", True)
MLFLOW_PORT = env.integer("SEODANG_MLFLOW_PORT", PORT + 1)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("SEODANG_LOG_LEVEL", "INFO")},
}

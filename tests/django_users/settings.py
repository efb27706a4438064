"""A Django site as it stands in the tutorials, on the database of the environment."""
import os
import urllib.parse


def database(url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": "/" + parts.path.lstrip("/")}
    query = dict(urllib.parse.parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": urllib.parse.unquote(parts.username or ""),
        "PASSWORD": urllib.parse.unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "OPTIONS": query,
    }


DATABASES = {"default": database(os.environ["DJANGO_DATABASE"])}
SECRET_KEY = "only for making accounts"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
if os.environ["DJANGO_ALLAUTH"] == "yes":
    INSTALLED_APPS += ["allauth", "allauth.account"]
    MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Asia/Seoul"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]

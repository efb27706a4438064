"""Has a real Django make its tables and the accounts of `users.json`.

    make_users.py DATABASE_URL [--with-allauth]

The hashes are those that Django makes today, at its own cost.
"""
import datetime
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
JOINED = datetime.datetime(2019, 3, 1, 12, 0, 0, 654321, tzinfo=datetime.timezone.utc)


def main(url, with_allauth):
    os.environ["DJANGO_DATABASE"] = url
    os.environ["DJANGO_ALLAUTH"] = "yes" if with_allauth else "no"
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    for account in json.loads((HERE / "users.json").read_text()):
        make(account, with_allauth)


def make(account, with_allauth):
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    last_login = account.get("last_login")
    user = User.objects.create(
        id=account["id"],
        username=account["username"],
        email=account["email"],
        password=make_password(account["password"], hasher=account["hasher"]),
        is_active=account.get("is_active", True),
        is_staff=account.get("is_staff", False),
        is_superuser=account.get("is_superuser", False),
        date_joined=JOINED + datetime.timedelta(days=account["id"]),
        last_login=last_login and datetime.datetime.fromisoformat(last_login),
    )
    if not with_allauth or not account["email"]:
        return
    from allauth.account.models import EmailAddress

    primary = account.get("primary", account["email"])
    EmailAddress.objects.create(user=user, email=primary, primary=True, verified=account["verified"] or "primary" in account)
    if primary != account["email"]:
        EmailAddress.objects.create(user=user, email=account["email"], primary=False, verified=account["verified"])


if __name__ == "__main__":
    main(sys.argv[1], "--with-allauth" in sys.argv[2:])

"""Creates the tables and the three accounts of the wire document, ids 1 to 3."""
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reference.settings")

import django  # noqa: E402

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)
User.objects.create_superuser("admin", "admin@naver.com", "admin")
User.objects.create_user("alice", "alice@example.com", "alice-pass")
sleeper = User.objects.create_user("sleeper", "sleeper@example.com", "sleeper-pass")
sleeper.is_active = False
sleeper.save()

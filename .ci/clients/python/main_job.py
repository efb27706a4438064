"""The main job with the client of openapi-python-client."""

import os
import subprocess

from hallpass_client import AuthenticatedClient, Client
from hallpass_client.api.account import get_me, list_my_events, register, verify_email
from hallpass_client.api.token import token_auth, token_refresh, token_revoke, token_verify
from hallpass_client.models import (
    ActiveToken,
    CodeProof,
    EmailVerified,
    EventList,
    Problem,
    Profile,
    RefreshTokenRequest,
    Registered,
    RegisterRequest,
    TokenAuthRequest,
    TokenPair,
    TokenVerifyRequest,
)

URL = os.environ["SERVICE_URL"]
EMAIL, PASSWORD = "python@example.com", "plum tree at dusk"
client = Client(base_url=URL)

registered = register.sync(client=client, body=RegisterRequest(email=EMAIL, password=PASSWORD))
assert isinstance(registered, Registered) and isinstance(registered.registration_token, str), registered
code = subprocess.check_output(["python3", os.environ["CODE_SCRIPT"], EMAIL], text=True).strip()
proof = CodeProof(registration_token=registered.registration_token, code=code)
verified = verify_email.sync(client=client, body=proof)
assert isinstance(verified, EmailVerified) and verified.email == EMAIL, verified

wrong = token_auth.sync(client=client, body=TokenAuthRequest(username=EMAIL, password="wrong password"))
assert isinstance(wrong, Problem) and wrong.code == "invalid_credentials", wrong
pair = token_auth.sync(client=client, body=TokenAuthRequest(username=EMAIL, password=PASSWORD))
assert isinstance(pair, TokenPair) and isinstance(pair.refresh_token, str), pair
pair = token_refresh.sync(client=client, body=RefreshTokenRequest(refresh_token=pair.refresh_token))
assert isinstance(pair, TokenPair) and isinstance(pair.refresh_token, str), pair
active = token_verify.sync(client=client, body=TokenVerifyRequest(token=pair.access_token))
assert isinstance(active, ActiveToken) and active.client_id == "hallpass", active

me = AuthenticatedClient(base_url=URL, token=pair.access_token)
profile = get_me.sync(client=me)
assert isinstance(profile, Profile) and profile.email == EMAIL, profile
events = list_my_events.sync(client=me, limit=5)
assert isinstance(events, EventList) and events.events[0].kind == "logged_in", events

body = RefreshTokenRequest(refresh_token=pair.refresh_token)
assert token_revoke.sync_detailed(client=client, body=body).status_code == 204
after = token_refresh.sync(client=client, body=body)
assert isinstance(after, Problem) and after.code == "refresh_token_revoked", after
print("openapi-python-client: the main job is done")

"""The main job with the Python client of openapi-generator."""

import os
import subprocess

import openapi_client as hallpass

configuration = hallpass.Configuration(host=os.environ["SERVICE_URL"])
api = hallpass.ApiClient(configuration)
account, token = hallpass.AccountApi(api), hallpass.TokenApi(api)
EMAIL, PASSWORD = "openapi-generator@example.com", "plum tree at dusk"

registered = account.register(hallpass.RegisterRequest(email=EMAIL, password=PASSWORD))
code = subprocess.check_output(["python3", os.environ["CODE_SCRIPT"], EMAIL], text=True).strip()
proof = hallpass.CodeProof(registration_token=registered.registration_token, code=code)
assert account.verify_email(hallpass.VerifyEmailRequest(proof)).email == EMAIL

try:
    token.token_auth(hallpass.TokenAuthRequest(username=EMAIL, password="wrong password"))
    raise AssertionError("a wrong password logs in")
except hallpass.exceptions.UnauthorizedException as error:
    assert error.data.code == "invalid_credentials", error
pair = token.token_auth(hallpass.TokenAuthRequest(username=EMAIL, password=PASSWORD))
pair = token.token_refresh(hallpass.RefreshTokenRequest(refresh_token=pair.refresh_token))

configuration.access_token = pair.access_token
assert account.get_me().email == EMAIL
changed = account.update_me(hallpass.UpdateMeRequest(locale="ko", metadata={"theme": "dark"}))
assert changed.metadata == {"theme": "dark"}, changed
assert "logged_in" in [event.kind for event in account.list_my_events(limit=5).events]

body = hallpass.RefreshTokenRequest(refresh_token=pair.refresh_token)
token.token_revoke(body)
try:
    token.token_refresh(body)
    raise AssertionError("a session that was ended goes on")
except hallpass.exceptions.UnauthorizedException as error:
    assert error.data.code == "refresh_token_revoked", error
print("openapi-generator, Python: the main job is done")

"""What a JSON schema cannot say, for schemathesis: a new password may not contain one's own name, nor
be a common password, a pattern or a well-known phrase; metadata has a size in bytes; a date is in the
future; a refresh token or an API key is in one place. And the account that asks must stay what it is, or
the rest of the run would see 401 only."""

import json
import os
import re
import unicodedata
from pathlib import Path

import schemathesis

COMMON = set(Path(__file__, "../../src/domain/user/common_passwords.txt").resolve().read_text().split("\n"))
# Fewer distinct characters than this may be a pattern (src/domain/user/guessable.rs); random texts have more.
DISTINCT = 12
OWN_NAMES = ["mina"]
OWN_SESSION = os.environ["OWN_SESSION"]
# Those of the document.
EXAMPLE = "plum tree at dusk"
EXAMPLE_DATE = "2099-01-01T00:00:00Z"


def is_guessable(password):
    """Whether it may be refused. The phrases are not repeated here: a random text has no long words."""
    text = unicodedata.normalize("NFKC", password).casefold()
    return text in COMMON or len(set(text)) < DISTINCT or re.search("[a-z]{4}", text)


@schemathesis.hook
def filter_body(context, body):
    if not isinstance(body, dict):
        return True
    password = body.get("password", body.get("new_password"))
    if isinstance(password, str) and password != EXAMPLE:
        names = OWN_NAMES + [str(body.get("email", "")).rpartition("@")[0], str(body.get("username", ""))]
        if is_guessable(password) or any(len(name) >= 4 and name.lower() in password.lower() for name in names):
            return False
    if any(len(json.dumps(body.get(name), ensure_ascii=False).encode()) > 3000 for name in ("metadata", "app_metadata")):
        return False
    # A date in the past is refused, and any date for an account that stays enabled.
    until = body.get("disabled_until")
    return not isinstance(until, str) or (until == EXAMPLE_DATE and body.get("is_active") is False)


@schemathesis.hook
def filter_case(context, case):
    if case.operation.path == "/v1/forward-auth":
        # What a proxy asks about has any method; the document has GET only.
        return case.method == "GET"
    if case.operation.path.startswith("/v1/users/") and str((case.path_parameters or {}).get("id")) == "1":
        # New roles of the account that asks would revoke the token of the run.
        return False
    if case.operation.path == "/v1/me/sessions/{id}" and (case.path_parameters or {}).get("id") == OWN_SESSION:
        return False
    # Bodies of the coverage phase pass no other hook. One of more than 16 KiB is answered 413.
    if not filter_body(context, case.body):
        return False
    if isinstance(case.body, dict) and len(json.dumps(case.body, default=str)) > 12_000:
        return False
    if case.operation.path in ("/v1/token-refresh", "/v1/token-revoke") and isinstance(case.body, dict):
        # The token is in the body or in the cookie: where it is in neither or in both is refused.
        return isinstance(case.body.get("refresh_token"), str) != (case.body.get("use_cookie") is True)
    if case.operation.path in ("/v1/introspect", "/v1/revoke") and isinstance(case.body, dict):
        # The requests of the run have an `Authorization` header, beside which another credential is refused.
        return "client_secret" not in case.body
    return True


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Numbers of accounts that there are (`api-check` makes them), and some that there are not."""
    number = (path_parameters or {}).get("id")
    if isinstance(number, int) and not isinstance(number, bool):
        path_parameters["id"] = 2 + abs(number) % 12
    return path_parameters


@schemathesis.hook
def before_add_examples(context, examples):
    """The cases made of the document's examples, which pass no filter."""
    examples[:] = [case for case in examples if filter_case(context, case)]

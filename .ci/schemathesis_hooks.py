"""What a JSON schema cannot say, for schemathesis: a new password may not contain one's own name, nor
be a common password or a pattern; metadata has a size in bytes; a refresh token is in one place. And
the account that asks must stay what it is, or the rest of the run would see 401 only."""

import json
import unicodedata
from pathlib import Path

import schemathesis

COMMON = set(Path(__file__, "../../src/domain/user/common_passwords.txt").resolve().read_text().split("\n"))
# Fewer distinct characters than this may be a pattern (src/domain/user/guessable.rs); random texts have more.
DISTINCT = 12


OWN_NAMES = ["mina"]


@schemathesis.hook
def filter_body(context, body):
    if not isinstance(body, dict):
        return True
    password = str(body.get("password", body.get("new_password", ""))).lower()
    names = OWN_NAMES + [str(body.get("email", "")).rpartition("@")[0], str(body.get("username", ""))]
    own = any(len(name) >= 4 and name.lower() in password for name in names)
    large = len(json.dumps(body.get("metadata"), ensure_ascii=False).encode()) > 3000
    guessable = password in COMMON or len(set(unicodedata.normalize("NFKC", password))) < DISTINCT
    return not own and not large and not (password and guessable)


@schemathesis.hook
def filter_case(context, case):
    if case.operation.path == "/v1/forward-auth":
        # What a proxy asks about has any method; the document has GET only.
        return case.method == "GET"
    # Bodies of the coverage phase pass no other hook. One of more than 16 KiB is answered 413.
    if not filter_body(context, case.body):
        return False
    if isinstance(case.body, dict) and len(json.dumps(case.body, default=str)) > 12_000:
        return False
    if case.operation.path in ("/v1/token-refresh", "/v1/token-revoke") and isinstance(case.body, dict):
        # The token is in the body or in the cookie: where it is in neither or in both is refused.
        return isinstance(case.body.get("refresh_token"), str) != (case.body.get("use_cookie") is True)
    return True


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Numbers of accounts that there are (`api-check` makes them), and some that there are not."""
    number = (path_parameters or {}).get("id")
    if isinstance(number, int) and not isinstance(number, bool):
        path_parameters["id"] = 2 + abs(number) % 12
    return path_parameters

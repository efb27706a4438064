"""What a JSON schema cannot say, for schemathesis: a new password may not contain one's own name, nor
be one of the passwords that everybody tries."""

from pathlib import Path

import schemathesis

COMMON = set(Path(__file__, "../../src/domain/common_passwords.txt").resolve().read_text().split("\n"))


@schemathesis.hook
def filter_body(context, body):
    if not isinstance(body, dict) or context.operation.path != "/v1/register":
        return True
    password = str(body.get("password", "")).lower()
    names = [str(body.get("email", "")).rpartition("@")[0], str(body.get("username", ""))]
    own = any(len(name) >= 4 and name.lower() in password for name in names)
    return not own and password not in COMMON

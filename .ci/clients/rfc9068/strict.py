"""strict.py TOKEN: the access token, held to RFC 9068 by authlib."""

import json
import os
import sys
import urllib.request

from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

ISSUER = os.environ["SERVICE_URL"]


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        with urllib.request.urlopen(f"{ISSUER}/.well-known/jwks.json") as answer:
            return KeySet.import_key_set(json.load(answer))


validator = Validator(issuer=ISSUER, resource_server=ISSUER)
claims = validator.authenticate_token(sys.argv[1])
validator.validate_token(claims, [], None)
assert claims["client_id"] == "hallpass", claims
print("authlib accepts the token")

"""Starts an OpenID Connect provider made of Authlib on loopback, with one confidential client and one
user for every log-in name. It needs no browser: the consent form takes a POST.

    python provider.py [REDIRECT_URI]

Prints one line of JSON: the issuer and the client. For each line `AUTHORIZATION_URL LOGIN` of
standard input it logs in and consents as a browser would, and prints the URL that the browser is
sent back to. A log-in name that begins with "refusing" refuses its consent, and the address of one
that begins with "unverified" is not verified. Ends with its standard input.

Unlike `oidc-provider`, it signs with ES256, takes the client secret in the body, and has the e-mail
address at the userinfo endpoint only.
"""

import json
import logging
import secrets
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import UserInfo, UserInfoEndpoint
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, request
from joserfc.jwk import ECKey
from werkzeug.serving import make_server

REDIRECT_URI = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1/social/test/callback"
SCOPES = {"openid", "email", "profile"}
KEY = ECKey.generate_key("P-256", {"kid": "authlib-1", "alg": "ES256", "use": "sig"})

app = Flask(__name__)
http_server = make_server("127.0.0.1", 0, app, threaded=True)
ISSUER = f"http://127.0.0.1:{http_server.port}"


class Client(ClientMixin):
    client_id = "hallpass"
    client_secret = secrets.token_urlsafe(24)
    client_metadata = {}
    id_token_signed_response_alg = "ES256"

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(it for it in (scope or "").split() if it in SCOPES)

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == REDIRECT_URI

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.client_secret, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


class User:
    def __init__(self, login):
        self.login = login

    def claims(self, scope):
        info = UserInfo(
            sub=self.login,
            name=f"User {self.login}",
            email=f"{self.login}@example.com",
            email_verified=not self.login.startswith("unverified"),
        )
        return info.filter(scope)


class Code(AuthorizationCodeMixin):
    def __init__(self, payload, scope, user):
        self.user = user
        self.scope = scope
        self.redirect_uri = payload.redirect_uri
        self.nonce = payload.data.get("nonce")
        self.code_challenge = payload.data.get("code_challenge")
        self.code_challenge_method = payload.data.get("code_challenge_method")

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return None

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class Token(TokenMixin):
    def __init__(self, client, user, scope):
        self.client, self.user, self.scope = client, user, scope

    def check_client(self, client):
        return client is self.client

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return 300

    def is_expired(self):
        return False

    def is_revoked(self):
        return False

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client


CLIENT = Client()
codes = {}
tokens = {}
nonces = set()


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

    def save_authorization_code(self, code, request):
        codes[code] = Code(request.payload, request.scope, request.user)
        nonces.add(request.payload.data.get("nonce"))

    def query_authorization_code(self, code, client):
        return codes.get(code)

    def delete_authorization_code(self, authorization_code):
        for code in [code for code, stored in codes.items() if stored is authorization_code]:
            del codes[code]

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class S256Challenge(CodeChallenge):
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]


class IdTokens(OpenIDCode):
    def resolve_client_private_key(self, client):
        return KEY

    def get_client_claims(self, client):
        return {"iss": ISSUER, "aud": [client.get_client_id()]}

    def get_encode_header(self, client):
        return {"alg": "ES256", "kid": KEY.kid}

    def exists_nonce(self, nonce, request):
        return nonce in nonces

    def generate_user_info(self, user, scope):
        return user.claims("openid")


class Issuer(IssuerParameter):
    def __init__(self, _server):
        super().__init__()

    def get_issuer(self):
        return ISSUER


class Profile(UserInfoEndpoint):
    def generate_user_info(self, user, scope):
        return user.claims(scope)


class Tokens(BearerTokenValidator):
    def authenticate_token(self, token_string):
        return tokens.get(token_string)


def save_token(token, request):
    tokens[token["access_token"]] = Token(request.client, request.user, token["scope"])


server = AuthorizationServer(
    app, query_client=lambda id: CLIENT if id == CLIENT.client_id else None, save_token=save_token
)
server.register_grant(CodeGrant, [S256Challenge(required=True), IdTokens(require_nonce=True)])
issuer_parameter = Issuer(server)
issuer_parameter(server)
protector = ResourceProtector()
protector.register_token_validator(Tokens())
server.register_endpoint(Profile(resource_protector=protector))


@app.get("/.well-known/openid-configuration")
def metadata():
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "userinfo_endpoint": f"{ISSUER}/userinfo",
        "jwks_uri": f"{ISSUER}/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


@app.get("/keys")
def keys():
    return {"keys": [KEY.as_dict(private=False)]}


@app.get("/authorize")
def ask_for_consent():
    grant = server.get_consent_grant(end_user=None)
    page = '<form method="post"><input name="login"><p>{}</p><button name="consent" value="yes">Allow</button></form>'
    return page.format(grant.request.payload.scope)


@app.post("/authorize")
def consent():
    user = User(request.form["login"]) if request.form.get("consent") == "yes" else None
    grant = server.get_consent_grant(end_user=user)
    return server.create_authorization_response(grant_user=user, grant=grant)


@app.post("/token")
def token():
    return server.create_token_response()


@app.get("/userinfo")
def userinfo():
    return server.create_endpoint_response("userinfo")


class StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments):
        return None


browser = urllib.request.build_opener(StayHere)


def log_in(url, login):
    """Follows an authorization URL as a browser would, to the redirect URI."""
    with browser.open(url) as page:
        assert "<form" in page.read().decode(), "no consent form"
    answer = "no" if login.startswith("refusing") else "yes"
    form = urllib.parse.urlencode({"login": login, "consent": answer}).encode()
    try:
        browser.open(url, form)
    except urllib.error.HTTPError as redirect:
        return redirect.headers["Location"]
    raise AssertionError("no redirect")


logging.getLogger("werkzeug").setLevel(logging.ERROR)
threading.Thread(target=http_server.serve_forever, daemon=True).start()
print(json.dumps({"issuer": ISSUER, "client_id": CLIENT.client_id, "client_secret": CLIENT.client_secret}), flush=True)
for line in sys.stdin:
    print(log_in(*line.split()), flush=True)

"""Checks Hallpass's access tokens locally: signature and claims with the public keys (JWKS),
log-outs with the revocation list. docs/checking-tokens.md gives the reasons."""

import json
import threading
import time
import urllib.error
import urllib.request

import jwt

# The only accepted algorithm: that of HALLPASS_JWT_ALGORITHM.
ALGORITHM = "ES256"
REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "sid", "user_id"]
POLL_EVERY = 1.0
TIMEOUT = 2.0


class Refused(Exception):
    """An invalid token: 401. `code` is one of Hallpass's."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Unavailable(Exception):
    """Keys or revocation list are out of date, so validity is unknown: 503."""


class Verifier:
    """`issuer` is HALLPASS_PUBLIC_URL; `audience` one of HALLPASS_AUDIENCE, or the issuer where that is
    not set; `max_staleness` the maximum age of the revocation list in s."""

    def __init__(self, issuer, max_staleness=30.0, audience=None):
        self._issuer = issuer
        self._audience = audience or issuer
        self._keys = Keys(issuer + "/.well-known/jwks.json")
        self._revocations = Revocations(issuer + "/v1/revocations", max_staleness)

    def verify(self, token):
        """Returns the claims of a valid token."""
        claims = self._signed(token)
        self._revocations.check(claims)
        return claims

    def _signed(self, token):
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "at+jwt":
                raise Refused("token_invalid")
            claims = jwt.decode(
                token,
                self._keys.find(header.get("kid")),
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=5,
                options={"require": REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise Refused("token_expired") from error
        except jwt.PyJWTError as error:
            raise Refused("token_invalid") from error
        texts = all(isinstance(claims[name], str) for name in ("sub", "jti", "sid"))
        if not texts or type(claims["user_id"]) is not int:
            raise Refused("token_invalid")
        return claims


class Keys:
    """The public keys: fetched when first needed, again after ten minutes, and for an unknown
    `kid`, but then not more often than the cooldown allows. (PyJWT's own PyJWKClient has none:
    a client that sends made-up key ids makes it fetch each time.)"""

    MAX_AGE = 600.0
    COOLDOWN = 10.0
    COOLDOWN_AFTER_FAILURE = 1.0

    def __init__(self, url):
        self._url = url
        self._fetching = threading.Lock()
        self._next_fetch = float("-inf")
        # Replaced as a whole, so that readers need no lock.
        self._known = ({}, float("-inf"))

    def find(self, kid):
        if not self._has(kid):
            with self._fetching:
                if not self._has(kid) and time.monotonic() >= self._next_fetch:
                    self._fetch()
        keys, fetched = self._known
        if time.monotonic() - fetched > self.MAX_AGE:
            raise Unavailable("no keys")
        if kid not in keys:
            raise Refused("token_invalid")
        return keys[kid]

    def _has(self, kid):
        keys, fetched = self._known
        return kid in keys and time.monotonic() - fetched <= self.MAX_AGE

    def _fetch(self):
        asked = time.monotonic()
        try:
            with urllib.request.urlopen(self._url, timeout=TIMEOUT) as answer:
                keys = jwt.PyJWKSet.from_dict(json.load(answer)).keys
        except (OSError, ValueError, jwt.PyJWTError):
            # The existing keys are used until they are too old.
            self._next_fetch = asked + self.COOLDOWN_AFTER_FAILURE
        else:
            self._known = ({key.key_id: key for key in keys}, asked)
            self._next_fetch = asked + self.COOLDOWN


class Revocations:
    """The revocation list, polled every second."""

    def __init__(self, url, max_staleness):
        self._url = url
        self._max_staleness = max_staleness
        self._etag = None
        # Replaced as a whole, so that readers need no lock.
        self._ended = (frozenset(), {}, float("-inf"))
        threading.Thread(target=self._poll_for_ever, daemon=True).start()

    def check(self, claims):
        sessions, users, as_of = self._ended
        if claims["sid"] in sessions or claims["iat"] <= users.get(claims["user_id"], float("-inf")):
            raise Refused("token_revoked")
        if time.monotonic() - as_of > self._max_staleness:
            raise Unavailable("the list of revocations is too old")

    def _poll_for_ever(self):
        while True:
            try:
                self._poll()
            except (OSError, ValueError, LookupError, TypeError):
                # The next poll may succeed. `check` compares the age of the list with its limit.
                pass
            time.sleep(POLL_EVERY)

    def _poll(self):
        # Time of the request: later revocations may be missing from the response.
        asked = time.monotonic()
        headers = {"If-None-Match": self._etag} if self._etag else {}
        request = urllib.request.Request(self._url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                listed = json.load(answer)
                etag = answer.headers["ETag"]
        except urllib.error.HTTPError as error:
            if error.code != 304:
                raise
            sessions, users, _ = self._ended
        else:
            sessions = frozenset(it["session_id"] for it in listed["sessions"])
            users = {it["user_id"]: it["revoked_at"] for it in listed["users"]}
            self._etag = etag
        self._ended = (sessions, users, asked)

"""A service that authenticates its callers:

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    HALLPASS_PUBLIC_URL=http://127.0.0.1:8000 PORT=3000 .venv/bin/python service.py
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verifier import Refused, Unavailable, Verifier

VERIFIER = Verifier(
    os.environ.get("HALLPASS_PUBLIC_URL", "http://127.0.0.1:8000"),
    max_staleness=float(os.environ.get("MAX_STALENESS", "30")),
    audience=os.environ.get("AUDIENCE"),
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise Refused("authentication_required")
            claims = VERIFIER.verify(token)
            self.answer(200, {"user_id": claims["user_id"], "username": claims["username"]})
        except Refused as refused:
            # RFC 6750 section 3.1: an error code only where a token was sent.
            sent = refused.code != "authentication_required"
            challenge = 'Bearer error="invalid_token"' if sent else "Bearer"
            self.answer(401, {"code": refused.code}, {"WWW-Authenticate": challenge})
        except Unavailable:
            self.answer(503, {"code": "unavailable"}, {"Retry-After": "1"})

    def answer(self, status, body, headers=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()

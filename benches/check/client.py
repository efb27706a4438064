"""The client: `wrk` for rates, one connection of its own for times of single requests."""

import dataclasses
import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = "plum tree at dusk"


@dataclasses.dataclass
class Request:
    method: str
    path: str
    body: str = ""
    headers: dict = dataclasses.field(default_factory=dict)


def post(path, body, **headers):
    return Request("POST", path, json.dumps(body), {"content-type": "application/json"} | headers)


def get(path, **headers):
    return Request("GET", path, "", headers)


def log_in(username, password=PASSWORD, **headers):
    return post("/v1/token-auth", {"username": username, "password": password}, **headers)


def refresh(token, **headers):
    return post("/v1/token-refresh", {"refresh_token": token}, **headers)


def token_verify(token):
    return post("/v1/token-verify", {"token": token})


def forward_auth(token):
    return get("/v1/forward-auth", authorization=f"Bearer {token}")


class Connection:
    """A connection that stays open and sends one request at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request):
        """Returns the head of the response and its body."""
        body = request.body.encode()
        lines = [f"{request.method} {request.path} HTTP/1.1", "host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in request.headers.items()]
        if body:
            lines.append(f"content-length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.receive()
        head, body = answer.split(b"\r\n\r\n", 1)
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self.receive()
        return head, body

    def receive(self):
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("closed")
        return received

    def ask(self, request):
        """Returns the JSON of a response, which has to be a success."""
        head, body = self.send(request)
        assert re.match(rb"HTTP/1.1 2\d\d ", head), (request, head, body)
        return json.loads(body) if body else None

    def time(self, request):
        """Returns the milliseconds that a request takes, and the JSON of its response."""
        began = time.perf_counter()
        answer = self.ask(request)
        return (time.perf_counter() - began) * 1000, answer

    def paced(self, request, per_second, seconds):
        """Returns the milliseconds of requests at a fixed rate.

        A request that is late because the one before was slow has waited since it was due.
        """
        times, began, free = [], time.perf_counter(), 0
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            time.sleep(max(0, due - time.perf_counter()))
            since = due if free > due else time.perf_counter()
            self.ask(request)
            free = time.perf_counter()
            times.append((free - since) * 1000)
        return times


# Refreshes of each run come from one network that had none before.
NETWORKS = itertools.count(1)
# wrk has no state of a connection: a token is any connection's until it is exchanged.
REFRESHES = """
local tokens = { %s }
request = function()
    local body = '{"refresh_token":"' .. table.remove(tokens) .. '"}'
    local headers = {["content-type"] = "application/json", ["x-forwarded-for"] = "12.0.%s.7"}
    return wrk.format("POST", "/v1/token-refresh", headers, body)
end
response = function(status, headers, body)
    table.insert(tokens, body:match('"refresh_token":"([^"]+)"'))
end
"""

# Users in turn, each from a network of its own: few log-ins of one account or one network wait at a time.
LOG_INS = """
local number = 0
request = function()
    number = number % %d + 1
    local body = '{"username":"user' .. number .. '","password":"%s"}'
    local headers = {["content-type"] = "application/json", ["x-forwarded-for"] = "11.0." .. number .. ".7"}
    return wrk.format("POST", "/v1/token-auth", headers, body)
end
"""


def lua(request):
    headers = "".join(
        f"wrk.headers['{name.replace('_', '-')}'] = '{value}'\n" for name, value in request.headers.items()
    )
    return f"wrk.method = '{request.method}'\nwrk.body = [[{request.body}]]\n{headers}"


class Wrk:
    """A running wrk."""

    def __init__(self, base, path, script, connections, seconds):
        self.script = tempfile.NamedTemporaryFile("w", suffix=".lua")
        self.script.write(script)
        self.script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", self.script.name]
        self.process = subprocess.Popen([*command, base + path], stdout=subprocess.PIPE, text=True)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def rate(self, may_fail=False):
        """Waits for the end and returns the requests per second."""
        text, _ = self.process.communicate()
        assert self.process.returncode == 0, text
        assert may_fail or ("Non-2xx" not in text and "Socket errors" not in text), text
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def drive(base, request, connections, seconds):
    """Returns the requests per second."""
    return Wrk(base, request.path, lua(request), connections, seconds).rate()


def start_refreshes(port, connections, seconds, username="admin"):
    """Starts refreshes, each with the newest token of a session."""
    connection = Connection(port)
    # wrk takes some before it begins.
    tokens = [connection.ask(log_in(username))["refresh_token"] for _ in range(min(2 * connections, 90))]
    script = REFRESHES % (", ".join(f"'{token}'" for token in tokens), next(NETWORKS))
    return Wrk(f"http://127.0.0.1:{port}", "/v1/token-refresh", script, connections, seconds)


def start_log_ins(base, users, connections, seconds, password=PASSWORD):
    """Starts log-ins of users who have numbers."""
    # The other % belongs to Lua.
    script = LOG_INS.replace("%d", str(users)).replace("%s", password)
    return Wrk(base, "/v1/token-auth", script, connections, seconds)


def require_wrk():
    if not shutil.which("wrk"):
        sys.exit("wrk is missing (Debian: apt-get install wrk)")

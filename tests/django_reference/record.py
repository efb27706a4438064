"""Records what the reference stack answers, as the corpus that the Rust suite replays.

    python -m venv /tmp/reference && /tmp/reference/bin/pip install -r requirements.txt
    /tmp/reference/bin/python record.py

Runs the project in `reference/` under gunicorn on a free loopback port, sends every request of
`cases.py` and writes `../django/replay/SCENARIO.json`. Tokens and the host stand in the files as
placeholders. `overrides.py` names every answer in which Hallpass differs on purpose, and why.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import cases
import overrides
import tokens

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "django" / "replay"
SECRET = "reference-secret-key-of-the-django-site"
KEYS = {tokens.SITE: SECRET, tokens.OTHER: "another-secret-key-of-some-other-site"}
ALL = {
    name: recipe
    for group in (
        tokens.GOOD, tokens.BAD, tokens.ALGORITHMS, tokens.BROKEN, tokens.REFUSED,
        tokens.ORIGINS, tokens.BROKEN_ORIGINS, tokens.REFUSED_ORIGINS,
    )
    for name, recipe in group.items()
}
KEPT_HEADERS = (
    "content-type", "allow", "vary", "www-authenticate", "location",
    "x-content-type-options", "referrer-policy", "x-frame-options",
)


def body_of(sent, fill):
    if "body_base64" in sent:
        return base64.b64decode(sent["body_base64"])
    if "body_repeat" in sent:
        plan = sent["body_repeat"]
        return (plan["prefix"] + plan["unit"] * plan["times"] + plan["suffix"]).encode()
    return fill(sent["body"]).encode() if "body" in sent else None


def wire_form(sent, host, fill):
    lines = [f"{sent['method']} {fill(sent['target'])} HTTP/1.1".encode()]
    headers = [(name, fill(value)) for name, value in sent["headers"]]
    if not any(name == "Host" for name, _ in headers):
        headers.insert(0, ("Host", host))
    headers.append(("Connection", "close"))
    body = body_of(sent, fill)
    if body is not None and not sent.get("chunked"):
        headers.append(("Content-Length", str(len(body))))
    if sent.get("chunked"):
        headers.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for name, value in headers:
        # The one header that is sent as Latin-1, so that it is no UTF-8.
        latin = name.endswith("-Latin-1")
        name = name.removesuffix("-Latin-1")
        lines.append(f"{name}: ".encode() + value.encode("latin-1" if latin else "utf-8"))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        while True:
            try:
                chunk = connection.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(lines[0].split(" ")[1]), headers, body


def without_times(claims, now):
    """Claims of an issued token, with the moments told relative to the request."""

    def relative(value):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value - now) < 10**6:
            difference = round(value - now)
            near = next((mark for mark in (0, 300, -3600, -604700) if abs(mark - difference) <= 5), difference)
            return "{{now%+d}}" % near if near else "{{now}}"
        return value

    return {name: relative(value) for name, value in claims.items()}


def recorded(sent, status, headers, body, host, minted, now):
    answer = {"status": status, "headers": {}}
    if sent["method"] == "HEAD":
        # gunicorn sends a body all the same, which no client reads.
        body = b""
    for name in KEPT_HEADERS:
        if name in headers:
            answer["headers"][name] = headers[name].replace(host, "{{host}}")
    if body == b"":
        return {**answer, "body": ""}
    if headers.get("content-type") != "application/json":
        return answer
    text = body.decode().replace(host, "{{host}}")
    issued = re.fullmatch(r'(\s*\{\s*"token":\s*")(eyJ[\w.-]+)("\s*\}\s*)', text)
    if issued and not sent["target"].startswith(cases.VERIFY):
        header, claims, _ = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) if index < 2 else None
            for index, part in enumerate(issued[2].split("."))
        )
        answer["token"] = {"header": header, "claims": without_times(claims, now)}
        text = issued[1] + "{{issued}}" + issued[3]
    for name, token in sorted(minted.items()):
        text = text.replace(token, "{{token:%s}}" % name)
    prefix = '{"detail":"JSON parse error - '
    if text.startswith(prefix):
        answer["body_prefix"] = prefix
    else:
        answer["body"] = text
    return answer


def ask(sent, port, host, used):
    now = int(time.time())
    minted = {}

    def fill(text):
        def token(found):
            name = found.group(1)
            used.add(name)
            minted.setdefault(name, tokens.mint(ALL[name], now, KEYS))
            return minted[name]

        return re.sub(r"\{\{token:([^}]+)\}\}", token, text)

    answer = exchange(port, wire_form(sent, host, fill))
    sent_host = next((value for name, value in sent["headers"] if name == "Host"), host)
    return recorded(sent, *answer, sent_host, minted, now)


def record(scenario, cases_of, port, host):
    used, exchanges = set(), []
    for case in cases_of():
        case["reference"] = ask(case["request"], port, host, used)
        override = overrides.of(scenario, case)
        if override:
            # Some answers differ only in that Hallpass answers as if another request had come.
            as_if = override.pop("as_if", None)
            if as_if:
                override = {**override, **ask({**case["request"], **as_if}, port, host, used)}
                override = overrides.bare_token(override) or override
            case["hallpass"] = override
        exchanges.append(case)
    names = [case["name"] for case in exchanges]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    recipes = {name: ALL[name] for name in sorted(used)}
    return {"secrets": KEYS, "tokens": recipes, "exchanges": exchanges}


def main():
    only = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        pristine, database = f"{folder}/pristine.sqlite3", f"{folder}/reference.sqlite3"
        environment = {**os.environ, "REFERENCE_SECRET": SECRET, "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "reference.make_accounts"],
            cwd=HERE, check=True, env={**environment, "REFERENCE_DATABASE": pristine},
        )
        shutil.copy(pristine, database)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "reference.wsgi"],
            cwd=HERE, env={**environment, "REFERENCE_DATABASE": database}, stderr=open(f"{folder}/log", "w"),
        )
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            OUT.mkdir(exist_ok=True, parents=True)
            total = 0
            for scenario, cases_of in cases.SCENARIOS.items():
                if only and scenario not in only:
                    continue
                shutil.copy(pristine, database)
                corpus = record(scenario, cases_of, port, f"127.0.0.1:{port}")
                text = json.dumps(corpus, ensure_ascii=False, indent=1)
                (OUT / f"{scenario}.json").write_text(text + "\n")
                differing = sum("hallpass" in case for case in corpus["exchanges"])
                total += len(corpus["exchanges"])
                print(f"{scenario}: {len(corpus['exchanges'])} exchanges, {differing} differ on purpose")
            print(f"{total} exchanges")
        finally:
            server.terminate()
            server.wait()


main()

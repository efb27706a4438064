"""Where Hallpass answers otherwise on purpose, and why.

An override replaces the reference's answer in the replay. `status` alone means that body and headers
are free; `as_if` names the request to which Hallpass gives the same answer as the reference.
"""
import json
import re

import cases
import tokens

FORBIDDEN = '{"detail":"You do not have permission to perform this action."}'
NOT_FOUND = '{"detail":"Not found."}'
UNDECODABLE = "Error decoding signature."
INCORRECT = "Incorrect authentication credentials."


def headers_of(target, status):
    """What the endpoint sends with every JSON answer."""
    path = target.split("?")[0]
    headers = {
        "content-type": "application/json",
        "vary": "Accept",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "x-frame-options": "DENY",
    }
    if path.startswith("/api-token-"):
        headers["allow"] = "POST, OPTIONS"
    elif path == "/restricted/":
        headers["allow"] = "GET, HEAD, OPTIONS"
        if status == 401:
            headers["www-authenticate"] = 'JWT realm="api"'
    else:
        headers["vary"] = "Accept, Cookie"
        headers["allow"] = {
            "/": "GET, HEAD, OPTIONS",
            "/users/": "GET, POST, HEAD, OPTIONS",
        }.get(path, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS")
    return headers


def answer(reason, case, status, body):
    body = body if case["request"]["method"] != "HEAD" else ""
    headers = headers_of(case["request"]["target"], status)
    return {"reason": reason, "status": status, "headers": headers, "body": body}


def non_field(text):
    return json.dumps({"non_field_errors": [text]}, separators=(",", ":"))


def detail(text):
    return json.dumps({"detail": text}, separators=(",", ":"))


def bare_token(recorded):
    body = recorded.get("body", "")
    bare = re.sub(r"b'(\{\{token:[^}]+\}\})'", r"\1", body)
    return {**recorded, "body": bare} if bare != body else None


def of(scenario, case):
    for rule in (unknown_path, slash, html, suffix, anything, chunked, token, login, account, others):
        override = rule(scenario, case)
        if override:
            return override
    bare = bare_token(case["reference"])
    if bare:
        reason = "the bare token, not a bytes object printed by Python 3"
        return {"reason": reason, **bare}
    return None


def unknown_path(scenario, case):
    if case["reference"]["status"] == 404 and "body" not in case["reference"]:
        return {"reason": "HTML is not offered", "status": 404}
    return None


def slash(scenario, case):
    if case["reference"]["status"] != 301:
        return None
    path, mark, query = case["request"]["target"].partition("?")
    if path == "/users/1%2F":
        return None
    reason = "a path without its final slash is answered as if it had one"
    return {"reason": reason, "as_if": {"target": f"{path}/{mark}{query}"}}


def html(scenario, case):
    kind = case["reference"]["headers"].get("content-type", "")
    if case["reference"]["status"] != 200 or not kind.startswith("text/html"):
        return None
    headers = [header for header in case["request"]["headers"] if header[0] != "Accept"]
    target = case["request"]["target"].replace("?format=api", "").replace("users.api", "users/")
    return {"reason": "HTML is not offered", "as_if": {"headers": headers, "target": target}}


def suffix(scenario, case):
    target = case["request"]["target"]
    plain = re.sub(r"\.json/?$|\?format=json$", "", target)
    plain = plain if plain.endswith("/") else plain + "/"
    if case["reference"]["status"] != 200 or plain == target or "http://" not in case["reference"].get("body", ""):
        return None
    if not target.endswith((".json", ".json/", "?format=json")):
        return None
    return {"reason": "section 7: links without the suffix", "as_if": {"target": plain}}


def anything(scenario, case):
    if case["request"]["target"].rstrip("/").endswith("/anything"):
        return {"reason": "section 7: the URL ends where it ends", "status": 404, "body": NOT_FOUND}
    return None


def chunked(scenario, case):
    if case["request"].get("chunked"):
        return {"reason": "section 7: chunked bodies are read", "as_if": {"chunked": False}}
    return None


REFUSED_TEXTS = {
    "username a lone surrogate": ("User doesn't exist.", "Invalid signature."),
    "exp missing": (UNDECODABLE, INCORRECT),
    "exp the text of a number": (UNDECODABLE, UNDECODABLE),
    "iat in the future": (UNDECODABLE, INCORRECT),
    "crit": (UNDECODABLE, INCORRECT),
    "signature with padding": (UNDECODABLE, UNDECODABLE),
    "signature with foreign characters": (UNDECODABLE, UNDECODABLE),
    "signature with other last bits": (UNDECODABLE, UNDECODABLE),
}


# The reference never reads the user id of a token.
OTHER_ACCOUNT = ("user_id of somebody else", "user_id of nobody")


def token(scenario, case):
    if scenario == "tokens_in_bodies":
        name = case["name"].partition(": ")[2]
        refusal = 400, non_field(REFUSED_TEXTS.get(name, (UNDECODABLE, None))[0])
    elif scenario == "header_authentication" and case["name"].startswith(("/restricted/ ", "/users/2/ ")):
        target, _, name = case["name"].partition(" ")
        text = REFUSED_TEXTS.get(name, (None, INCORRECT))[1]
        if name == "scheme not UTF-8":
            text = "Authentication credentials were not provided."
        refusal = 401 if target == "/restricted/" else 403, detail(text)
    else:
        return None
    if name in OTHER_ACCOUNT:
        text = "Signature has expired."
        body = non_field(text) if refusal[0] == 400 else detail(text)
        return answer("user name and user id are those of one account", case, refusal[0], body)
    if case["reference"]["status"] == 500:
        return answer("section 7: refused, not broken", case, *refusal)
    if case["reference"]["status"] >= 400:
        return None
    origin = name in tokens.REFUSED_ORIGINS and case["request"]["target"] == cases.REFRESH
    if name in REFUSED_TEXTS or origin:
        return answer("section 7: refused", case, *refusal)
    return None


def login(scenario, case):
    if scenario == "syntax" and case["reference"]["status"] == 500:
        if "nested" in case["name"]:
            return {"reason": "section 7: nested too deep", "status": 400}
        text = "Unable to log in with provided credentials."
        return answer("an unknown name like any other", case, 400, non_field(text))
    return None


def account(scenario, case):
    name = case["name"]
    if scenario == "paths" and case["reference"]["status"] == 500:
        return answer("section 7: no such account", case, 404, NOT_FOUND)
    if scenario == "users_change" and name == "DELETE oneself":
        return answer("the last active superuser stays", case, 403, FORBIDDEN)
    if scenario == "users_change" and name == "and one's token is lost":
        body = '{"id":1,"username":"admin","token":"{{token:good}}"}'
        return answer("the last active superuser stays", case, 200, body)
    if name == "GET /users/%D9%A1/ as staff":
        return answer("numbers are written in ASCII", case, 404, NOT_FOUND)
    if scenario == "users_create" and name.startswith("name taken but for case"):
        taken = '{"username":["A user with that username already exists."]}'
        return answer("names are unique without regard to case", case, 400, taken)
    if scenario == "users_emails" and name.startswith("e-mail taken"):
        taken = '{"email":["A user with that email already exists."]}'
        return answer("e-mail addresses are unique", case, 400, taken)
    return None


def others(scenario, case):
    """/users/ belongs to staff: the others see and change only themselves, and never `is_staff`."""
    reason = "/users/ belongs to staff"
    sent, status = case["request"], case["reference"]["status"]
    asked_by_alice = cases.ALICE[0] in [tuple(header) for header in sent["headers"]]
    by_token = any("{{token:" in value for name, value in sent["headers"] if name == "Authorization")
    as_alice = asked_by_alice or (by_token and "{{token:good for alice}}" in str(sent["headers"]))
    if not as_alice or not sent["target"].startswith("/users/"):
        return None
    own = '{"url":"http://{{host}}/users/2/","username":"alice","email":"%s","is_staff":false}'
    if sent["target"] == "/users/" and sent["method"] == "GET" and status == 200:
        return answer(reason, case, 200, "[" + own % "alice@example.com" + "]")
    if sent["target"] == "/users/" and sent["method"] == "POST":
        return answer(reason, case, 403, FORBIDDEN)
    if sent["target"] == "/users/" and sent["method"] == "OPTIONS":
        body = re.sub(r',"actions":.*', "}", case["reference"]["body"])
        return answer(reason, case, 200, body)
    if sent["target"] not in ("/users/", "/users/2/"):
        return answer(reason, case, 403, FORBIDDEN)
    if case["name"] in ("PATCH oneself to staff", "PUT oneself"):
        return answer(reason, case, 200, own % "a2@example.com")
    return None

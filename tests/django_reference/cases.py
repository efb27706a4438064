"""The requests to record, scenario by scenario. Each scenario starts with the same three accounts."""
import base64
import json

import tokens as recipes

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "XBOUNDARYX"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
AUTH, VERIFY, REFRESH = "/api-token-auth/", "/api-token-verify/", "/api-token-refresh/"
RIGHT = '{"username":"admin","password":"admin"}'


def request(name, method, target, body=None, content_type=None, headers=(), **more):
    fields = [["Content-Type", content_type]] if content_type is not None else []
    fields += [list(header) for header in headers]
    sent = {"method": method, "target": target, "headers": fields}
    if isinstance(body, bytes):
        sent["body_base64"] = base64.b64encode(body).decode()
    elif body is not None:
        sent["body"] = body
    sent.update(more)
    return {"name": name, "request": sent}


def post(name, target, body, content_type=JSON, headers=(), **more):
    return request(name, "POST", target, body, content_type, headers, **more)


def jwt(token):
    return [("Authorization", "JWT {{token:%s}}" % token)]


def basic(name, password):
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


STAFF = basic("admin", "admin")
ALICE = basic("alice", "alice-pass")


def parts(*fields, boundary=BOUNDARY, end="--\r\n"):
    text = ""
    for headers, value in fields:
        text += f"--{boundary}\r\n{headers}\r\n\r\n{value}\r\n"
    return f"{text}--{boundary}{end}"


def part(name, value, more=""):
    return (f'Content-Disposition: form-data; name="{name}"{more}', value)


def text_values():
    """What may stand in a text field, as JSON."""
    return {
        "null": "null",
        "empty": '""',
        "spaces": '"  \\t\\n "',
        "no-break spaces": '"\\u00a0\\u2003\\u3000"',
        "file separators": '"\\u001c\\u001d\\u001e\\u001f\\u0085"',
        "zero width space": '"\\u200b"',
        "list": '["admin"]',
        "empty list": "[]",
        "object": '{"a":1}',
        "empty object": "{}",
        "true": "true",
        "false": "false",
        "integer": "123",
        "zero": "0",
        "minus zero": "-0",
        "fraction": "1.5",
        "exponent": "1e2",
        "minus zero point zero": "-0.0",
        "fraction with zeros": "1.50",
        "large exponent": "1e16",
        "just below the large exponent": "123456789012345.6e1",
        "small exponent": "1e-5",
        "endless": "1e999",
        "digits beyond a float": "12345678901234567.1",
        "5000 digits": "1" * 5000,
        "big integer": "123456789012345678901234567890",
        "NUL": '"a\\u0000b"',
        "NUL only": '"\\u0000"',
        "lone surrogate": '"\\ud800"',
        "lone low surrogate": '"a\\udfff"',
        "NUL and surrogate": '"\\u0000\\udc00x\\ud801"',
        "surrogate pair": '"\\ud83d\\ude00"',
        "unescaped Hangul": '"한글"',
        "long": json.dumps("x" * 3000),
    }


def login_bodies():
    yield post("right", AUTH, RIGHT)
    yield post("right in a form", AUTH, "username=admin&password=admin", FORM)
    multipart = parts(part("username", "admin"), part("password", "admin"))
    yield post("right in multipart", AUTH, multipart, MULTIPART)
    for name, body in {
        "wrong password": '{"username":"admin","password":"Admin"}',
        "unknown name": '{"username":"nobody","password":"admin"}',
        "inactive, right password": '{"username":"sleeper","password":"sleeper-pass"}',
        "inactive, wrong password": '{"username":"sleeper","password":"x"}',
        "e-mail for the name": '{"username":"admin@naver.com","password":"admin"}',
        "name in capitals": '{"username":"ADMIN","password":"admin"}',
        "name in capitals, wrong password": '{"username":"ADMIN","password":"x"}',
        "plain account": '{"username":"alice","password":"alice-pass"}',
        "white space around": '{"username":"  admin\\t","password":"\\n admin  "}',
        "Unicode white space around": '{"username":"\\u3000admin\\u0085","password":"\\u001cadmin"}',
        "zero width space around": '{"username":"\\u200badmin","password":"admin"}',
        "unknown keys": '{"username":"admin","password":"admin","email":[],"x":{"y":null}}',
        "last of equal keys": '{"username":"x","password":"x","username":"admin","password":"admin"}',
        "last of equal keys is wrong": '{"username":"admin","password":"admin","username":"x"}',
        "escaped key": '{"user\\u006eame":"admin","password":"admin"}',
        "white space in JSON": ' \r\n\t{ "username" : "admin" ,\n"password":"admin" } \n',
        "no username": '{"password":"admin"}',
        "no password": '{"username":"admin"}',
        "nothing": "{}",
        "keys in another case": '{"Username":"admin","PASSWORD":"admin"}',
        "both bad": '{"username":null,"password":[]}',
        "password missing, username blank": '{"username":" "}',
    }.items():
        yield post(name, AUTH, body)
    for field, other in (("username", "password"), ("password", "username")):
        for name, value in text_values().items():
            yield post(f"{field}: {name}", AUTH, '{"%s":%s,"%s":"admin"}' % (field, value, other))


def syntax():
    for name, body in {
        "not JSON": "nothing",
        "form sent as JSON": "username=admin&password=admin",
        "cut off": '{"username":"admin","password":',
        "single quotes": "{'username':'admin'}",
        "comma at the end": '{"username":"admin","password":"admin",}',
        "key without quotes": '{username:"admin"}',
        "comment": '{"username":"admin"/*x*/}',
        "trailing text": RIGHT + "x",
        "two values": RIGHT + RIGHT,
        "only spaces": "   ",
        "NaN": '{"username":NaN,"password":"admin"}',
        "Infinity": '{"username":Infinity,"password":"admin"}',
        "minus Infinity": '{"username":-Infinity,"password":"admin"}',
        "NaN under an unknown key": '{"username":"admin","password":"admin","x":NaN}',
        "NaN alone": "NaN",
        "leading zero": '{"username":01,"password":"admin"}',
        "point without digits": '{"username":1.,"password":"admin"}',
        "plus sign": '{"username":+1,"password":"admin"}',
        "hexadecimal": '{"username":0x10,"password":"admin"}',
        "control character": '{"username":"ad\x01min","password":"admin"}',
        "line feed in a string": '{"username":"admin\n","password":"admin"}',
        "bad escape": '{"username":"\\x","password":"admin"}',
        "bad Unicode escape": '{"username":"\\u12g4","password":"admin"}',
        "True": '{"username":True}',
        "list": "[]",
        "list with an object": "[" + RIGHT + "]",
        "text": '"admin"',
        "empty text": '""',
        "integer": "7",
        "zero": "0",
        "big integer": "1" * 40,
        "fraction": "7.5",
        "exponent": "1e5",
        "true": "true",
        "false": "false",
        "null": "null",
        "null with spaces": " null ",
        "DEL in a string": '{"username":"ad\x7fmin","password":"admin"}',
    }.items():
        yield post(name, AUTH, body)
    yield post("byte order mark", AUTH, b"\xef\xbb\xbf" + RIGHT.encode())
    yield post("bad UTF-8", AUTH, b'{"username":"\xff","password":"admin"}')
    yield post("surrogate in UTF-8", AUTH, b'{"username":"\xed\xa0\x80","password":"admin"}')
    yield post("cut UTF-8", AUTH, b'{"username":"admin\xc3')
    yield post("empty", AUTH, "")
    yield post("empty as text", AUTH, "", "text/plain")
    yield post("empty without a type", AUTH, "", None)
    yield post("empty form", AUTH, "", FORM)
    yield post("empty multipart", AUTH, "", MULTIPART)
    yield request("no body and no length", "POST", AUTH)
    nested = {"prefix": "", "unit": "[", "times": 100000, "suffix": ""}
    yield post("nested 100,000 deep, not closed", AUTH, None, body_repeat=nested)
    nested = {"prefix": '{"username":', "unit": '{"a":', "times": 100000, "suffix": ""}
    yield post("nested objects 100,000 deep", AUTH, None, body_repeat=nested)
    yield post("nested 100 deep", AUTH, '{"x":' + "[" * 100 + "]" * 100 + "}")
    yield post("chunked", AUTH, RIGHT, chunked=True)
    yield post("chunked form", AUTH, "username=admin&password=admin", FORM, chunked=True)
    long = {"prefix": '{"password":"x","username":"', "unit": "abcdefgh", "times": 20000, "suffix": '"}'}
    yield post("name of 160,000 characters", AUTH, None, body_repeat=long)


def content_types():
    for name, kind in {
        "capitals": "APPLICATION/JSON",
        "spaces around": "  application/json  ",
        "charset utf-8": "application/json; charset=utf-8",
        "charset in capitals": "application/json;charset=UTF-8",
        "charset in quotes": 'application/json; charset="utf-8"',
        "unknown charset": "application/json; charset=nonsense",
        "empty charset": "application/json; charset=",
        "other parameter": "application/json; version=1",
        "semicolon at the end": "application/json;",
        "any type": "*/*",
        "any application": "application/*",
        "text/plain": "text/plain",
        "text/plain with charset": "text/plain; charset=utf-8",
        "text/json": "text/json",
        "application/vnd.api+json": "application/vnd.api+json",
        "application/jsonx": "application/jsonx",
        "application/xml": "application/xml",
        "with a quote": 'text/"x"',
        "with a backslash": "text/\\x",
        "nonsense": "nonsense",
        "json": "json",
        "empty": "",
        "two types": "application/json, text/plain",
        "text/*": "text/*",
        "octets": "application/octet-stream",
    }.items():
        yield post(f"JSON as {name}", AUTH, RIGHT, kind)
    yield post("JSON without a type", AUTH, RIGHT, None)
    yield post("JSON as a form", AUTH, RIGHT, FORM)
    yield post("JSON as multipart", AUTH, RIGHT, MULTIPART)
    both = [("Content-Type", "text/plain"), ("Content-Type", JSON)]
    yield post("text/plain, then JSON", AUTH, RIGHT, None, both)
    yield post("JSON, then text/plain", AUTH, RIGHT, None, both[::-1])
    hangul = '{"username":"한글","password":["é"]}'
    yield post("latin-1", AUTH, '{"username":"é","password":["é"]}'.encode("latin-1"), "application/json; charset=latin-1")
    yield post("iso-8859-1", AUTH, '{"username":"é","password":" "}'.encode("latin-1"), "application/json; charset=ISO-8859-1")
    yield post("ascii", AUTH, RIGHT, "application/json; charset=ascii")
    yield post("ascii broken", AUTH, hangul.encode(), "application/json; charset=us-ascii")
    yield post("utf-16", AUTH, RIGHT.encode("utf-16"), "application/json; charset=utf-16")
    yield post("utf-16le", AUTH, RIGHT.encode("utf-16-le"), "application/json; charset=utf-16le")
    yield post("utf-16be", AUTH, RIGHT.encode("utf-16-be"), "application/json; charset=UTF-16BE")
    yield post("utf-16 broken", AUTH, b"\xff\xfe{", "application/json; charset=utf-16")
    yield post("utf-32", AUTH, RIGHT.encode("utf-32"), "application/json; charset=utf-32")
    yield post("utf-8-sig", AUTH, RIGHT.encode("utf-8-sig"), "application/json; charset=utf-8-sig")
    yield post("euc-kr", AUTH, hangul.encode("euc-kr", "replace"), "application/json; charset=euc-kr")
    yield post("cp1252", AUTH, RIGHT, "application/json; charset=windows-1252")
    yield post("utf-8 said twice", AUTH, RIGHT, "application/json; charset=utf-8; charset=latin-1")


def forms():
    for name, body in {
        "last of equal names": "username=x&username=admin&password=x&password=admin",
        "plus is a space": "username=+admin+&password=admin++",
        "percent": "username=%61dmin&password=%61dmin",
        "broken percent": "username=admin%zz&password=admin",
        "percent of bad UTF-8": "username=%ff&password=admin",
        "NUL": "username=a%00b&password=admin",
        "surrogate": "username=%ed%a0%80&password=admin",
        "empty values": "username=&password=",
        "name without equals": "username&password=admin",
        "spaces": "username=%20%09&password=%0a",
        "semicolons": "username=admin;password=admin",
        "only ampersands": "&&&",
        "unknown names": "a=1&username=admin&b=&password=admin&c",
        "trailing line feed": "username=admin&password=admin\r\n",
        "brackets": "username[]=admin&password=admin",
        "number": "username=123&password=4.5",
    }.items():
        yield post(name, AUTH, body, FORM)
    yield post("bad UTF-8 unescaped", AUTH, b"username=\xff&password=admin", FORM)
    yield post("UTF-8 unescaped", AUTH, "username=한글&password=".encode(), FORM)
    yield post("form in capitals", AUTH, "username=admin&password=admin", FORM.upper())
    yield post("form with charset", AUTH, "username=admin&password=admin", FORM + "; charset=utf-8")
    yield post("latin-1 form", AUTH, "username=%e9&password=", FORM + "; charset=latin-1")
    good = [part("username", "admin"), part("password", "admin")]
    for name, body, kind in (
        ("last of equal names", parts(part("username", "x"), *good), MULTIPART),
        ("other part", parts(part("x", "y"), *good), MULTIPART),
        ("white space kept inside", parts(part("username", " admin\r\n"), good[1]), MULTIPART),
        ("missing", parts(part("x", "y")), MULTIPART),
        ("empty values", parts(part("username", ""), part("password", "")), MULTIPART),
        ("preamble", "something\r\n" + parts(*good), MULTIPART),
        ("not ended", parts(*good, end=""), MULTIPART),
        ("cut in a part", parts(*good)[:-30], MULTIPART),
        ("line feeds only", parts(*good).replace("\r\n", "\n"), MULTIPART),
        ("text after the end", parts(*good) + "more", MULTIPART),
        ("part without a name", parts(("Content-Disposition: form-data", "x"), *good), MULTIPART),
        ("part without headers", parts(("X-Other: 1", "x"), *good), MULTIPART),
        ("name without quotes", parts(("Content-Disposition: form-data; name=username", "admin"), good[1]), MULTIPART),
        ("header in small letters", parts(('content-disposition: form-data; name="username"', "admin"), good[1]), MULTIPART),
        ("part with a type", parts(('Content-Disposition: form-data; name="username"\r\nContent-Type: text/plain', "admin"), good[1]), MULTIPART),
        ("base64", parts(('Content-Disposition: form-data; name="username"\r\nContent-Transfer-Encoding: base64', "YWRtaW4="), good[1]), MULTIPART),
        ("broken base64", parts(('Content-Disposition: form-data; name="username"\r\nContent-Transfer-Encoding: base64', "YWRt+"), good[1]), MULTIPART),
        ("a file", parts(part("username", "admin", '; filename="a.txt"'), good[1]), MULTIPART),
        ("a file after a field", parts(*good, part("username", "admin", '; filename="a.txt"')), MULTIPART),
        ("a file without a name", parts(*good, part("username", "x", '; filename=""')), MULTIPART),
        ("an unknown file", parts(*good, part("x", "x", '; filename="a"')), MULTIPART),
        ("name with a charset", parts(("Content-Disposition: form-data; name*=utf-8''user%6eame", "admin"), good[1]), MULTIPART),
        ("name with a star", parts(("Content-Disposition: form-data; name*=username", "admin"), good[1]), MULTIPART),
        ("name in continuations", parts(("Content-Disposition: form-data; name*0=user; name*1=name", "admin"), good[1]), MULTIPART),
        ("name with escapes alone", parts(("Content-Disposition: form-data; name=user%6eame", "admin"), good[1]), MULTIPART),
        ("two names", parts(("Content-Disposition: form-data; name=x; name*=utf-8''username", "admin"), good[1]), MULTIPART),
        ("name in single quotes", parts(("Content-Disposition: form-data; name='username'", "admin"), good[1]), MULTIPART),
        ("name with spaces in quotes", parts(('Content-Disposition: form-data; name=" username "', "admin"), good[1]), MULTIPART),
        ("a quoted pair in a name", parts(('Content-Disposition: form-data; name="user\\name"', "admin"), good[1]), MULTIPART),
        ("quoted pairs before the name", parts(('Content-Disposition: form-data; x="a\\\"b;c\\\""; name="username"', "admin"), good[1]), MULTIPART),
        ("an odd quoted pair before the name", parts(('Content-Disposition: form-data; x="\\""; name="username"', "admin"), good[1]), MULTIPART),
        ("a name whose quotes do not end", parts(('Content-Disposition: form-data; name="username', "admin"), good[1]), MULTIPART),
        ("folded before the name", parts(("Content-Disposition: form-data;\r\n name=username", "admin"), good[1]), MULTIPART),
        ("folded after the name", parts(("Content-Disposition: form-data; name=username;\r\n\tfilename=a", "admin"), good[1]), MULTIPART),
        ("a space before the colon", parts(("Content-Disposition : form-data; name=username", "admin"), good[1]), MULTIPART),
        ("two dispositions", parts(("Content-Disposition: form-data; name=x\r\nContent-Disposition: x; name=username", "admin"), good[1]), MULTIPART),
        ("a disposition beyond ASCII", parts(("Content-Disposition: förm-data; name=username", "admin"), good[1]), MULTIPART),
        ("a charset of a part", parts(('Content-Disposition: form-data; name="username"\r\nContent-Type: text/plain; charset=utf-16', "admin"), good[1]), MULTIPART),
        ("a file with a charset", parts(part("username", "admin", "; filename*=utf-8''a%20b"), good[1]), MULTIPART),
        ("a file with an empty charset", parts(part("username", "admin", "; filename*=utf-8''"), good[1]), MULTIPART),
        ("a file that is a folder", parts(part("username", "admin", "; filename*=utf-8''a%2F"), good[1]), MULTIPART),
        ("a file in broken base64", parts(part("x", "YWI", '; filename="a"\r\nContent-Transfer-Encoding: base64'), *good), MULTIPART),
        ("a part after the end", parts(*good) + 'Content-Disposition: form-data; name="username"\r\n\r\nx', MULTIPART),
        ("a part in the preamble", 'Content-Disposition: form-data; name="x"\r\n\r\ny\r\n' + parts(*good), MULTIPART),
        ("a line end at the end", parts(*good, end="\r\n"), MULTIPART),
        ("boundary with a charset", parts(*good), f"multipart/form-data; boundary*=utf-8''{BOUNDARY}"),
        ("boundary in quotes", parts(*good), f'multipart/form-data; boundary="{BOUNDARY}"'),
        ("other boundary", parts(*good), "multipart/form-data; boundary=other"),
        ("no boundary", parts(*good), "multipart/form-data"),
        ("empty boundary", parts(*good), "multipart/form-data; boundary="),
        ("bad boundary", parts(*good), 'multipart/form-data; boundary="a\tb"'),
        ("long boundary", parts(*good, boundary="b" * 250), "multipart/form-data; boundary=" + "b" * 250),
        ("type in capitals", parts(*good), f"MULTIPART/FORM-DATA; boundary={BOUNDARY}"),
        ("multipart/mixed", parts(*good), f"multipart/mixed; boundary={BOUNDARY}"),
        ("boundary in capitals", parts(*good), f"multipart/form-data; BOUNDARY={BOUNDARY}"),
        ("empty", "", "multipart/form-data"),
    ):
        yield post(f"multipart: {name}", AUTH, body, kind)
    yield post("multipart: bad UTF-8", AUTH, parts(part("username", "X"), good[1]).encode().replace(b"X\r", b"\xff\r"), MULTIPART)
    for target in (VERIFY, REFRESH):
        yield post(f"form: {target}", target, "token={{token:good}}", FORM)
        yield post(f"multipart: {target}", target, parts(part("token", "{{token:good}}")), MULTIPART)


def login_headers():
    for value in ("JWT", "JWT nonsense", "Basic !", "Bearer x", "JWT a b c", "Basic YWRtaW46eA=="):
        yield post(f"Authorization: {value}", AUTH, RIGHT, JSON, [("Authorization", value)])
    yield post("a cookie", AUTH, RIGHT, JSON, [("Cookie", "sessionid=nonsense; csrftoken=x")])
    yield post("another origin", AUTH, RIGHT, JSON, [("Origin", "https://evil.example"), ("Referer", "https://evil.example/")])
    yield post("query", AUTH + "?username=x&next=/", RIGHT)
    yield post("only a query", AUTH + "?username=admin&password=admin", "{}")
    yield post("verify with a header", VERIFY, "{}", JSON, jwt("good"))
    yield post("verify with a bad header", VERIFY, '{"token":"{{token:good}}"}', JSON, [("Authorization", "JWT")])


def tokens_in_bodies():
    everything = {**recipes.GOOD, **recipes.BAD, **recipes.ALGORITHMS, **recipes.BROKEN, **recipes.REFUSED}
    origins = {**recipes.ORIGINS, **recipes.BROKEN_ORIGINS, **recipes.REFUSED_ORIGINS}
    for name in everything:
        yield post(f"verify: {name}", VERIFY, '{"token":"{{token:%s}}"}' % name)
    for name in {**everything, **origins}:
        yield post(f"refresh: {name}", REFRESH, '{"token":"{{token:%s}}"}' % name)
    yield post("verify: orig_iat a week ago", VERIFY, '{"token":"{{token:orig_iat a week ago}}"}')
    for target in (VERIFY, REFRESH):
        yield post(f"{target}: white space around", target, '{"token":" {{token:good}}\\n"}')
        yield post(f"{target}: space inside", target, '{"token":"{{token:good}} x"}')
        yield post(f"{target}: a prefix", target, '{"token":"JWT {{token:good}}"}')
        yield post(f"{target}: nothing", target, "{}")
        yield post(f"{target}: list", target, "[]")
        yield post(f"{target}: null", target, "null")
        yield post(f"{target}: not JSON", target, "nothing")
        for name, value in text_values().items():
            yield post(f"{target}: token: {name}", target, '{"token":%s}' % value)
        for value in (".", "..", "...", "a.b.c", "a.b", "é.é.é", "eyJ9.eyJ9.", "====.====.===="):
            yield post(f"{target}: {value}", target, json.dumps({"token": value}))


def header_authentication():
    odd = {
        "none": [],
        "empty": [("Authorization", "")],
        "spaces": [("Authorization", "   ")],
        "Bearer": [("Authorization", "Bearer {{token:good}}")],
        "bare token": [("Authorization", "{{token:good}}")],
        "word only": [("Authorization", "JWT")],
        "word and spaces": [("Authorization", "JWT   ")],
        "three words": [("Authorization", "JWT {{token:good}} x")],
        "four words": [("Authorization", "JWT a b c")],
        "small letters": [("Authorization", "jwt {{token:good}}")],
        "mixed letters": [("Authorization", "jWt {{token:good}}")],
        "many spaces": [("Authorization", "JWT    {{token:good}}")],
        "tab": [("Authorization", "JWT\t{{token:good}}")],
        "tabs and spaces": [("Authorization", "JWT \t {{token:good}} ")],
        "quotes": [("Authorization", 'JWT "{{token:good}}"')],
        "word glued": [("Authorization", "JWT{{token:good}}")],
        "word with colon": [("Authorization", "JWT: {{token:good}}")],
        "one part": [("Authorization", "JWT nonsense")],
        "two dots": [("Authorization", "JWT ..")],
        "Latin letters": [("Authorization", "JWT é.é.é")],
        "scheme not UTF-8": [("Authorization-Latin-1", "\u00e9\u00e9 x")],
        "scheme not ASCII": [("Authorization", "é x")],
        "a cookie": [("Cookie", "sessionid=nonsense; jwt={{token:good}}; token={{token:good}}")],
        "other header": [("X-Authorization", "JWT {{token:good}}")],
        "two headers": [("Authorization", "JWT {{token:good}}"), ("Authorization", "JWT {{token:good}}")],
        "two headers, the first empty": [("Authorization", ""), ("Authorization", "JWT {{token:good}}")],
        "comma": [("Authorization", "JWT {{token:good}},JWT {{token:good}}")],
        "Basic good": STAFF,
        "Basic bad": basic("admin", "x"),
        "Basic alone": [("Authorization", "Basic")],
        "Token word": [("Authorization", "Token {{token:good}}")],
    }
    for target in ("/restricted/", "/users/2/"):
        for name, headers in odd.items():
            yield request(f"{target} {name}", "GET", target, headers=headers)
        for name in {**recipes.GOOD, **recipes.BAD, **recipes.ALGORITHMS, **recipes.BROKEN, **recipes.REFUSED}:
            yield request(f"{target} {name}", "GET", target, headers=jwt(name))
        yield request(f"{target} token in the query", "GET", target + "?token={{token:good}}&jwt={{token:good}}")
        yield request(f"{target} orig_iat long ago", "GET", target, headers=jwt("orig_iat a week ago"))
        yield request(f"{target} orig_iat a text", "GET", target, headers=jwt("orig_iat a text"))
    yield request("the plain account", "GET", "/restricted/", headers=jwt("good for alice"))


def basic_authentication():
    def raw(value):
        return [("Authorization", value)]

    def pair(data):
        return raw("Basic " + base64.b64encode(data).decode())

    for name, headers in {
        "right": STAFF,
        "name in capitals": basic("ADMIN", "admin"),
        "wrong": basic("admin", "x"),
        "unknown": basic("nobody", "x"),
        "inactive": basic("sleeper", "sleeper-pass"),
        "e-mail": basic("admin@naver.com", "admin"),
        "white space around": basic(" admin", "admin"),
        "white space in the password": basic("admin", "admin "),
        "no colon": pair(b"admin"),
        "colon in the password": basic("admin", "a:b"),
        "empty": raw("Basic "),
        "empty pair": pair(b":"),
        "empty password": pair(b"admin:"),
        "empty name": pair(b":admin"),
        "three words": raw("Basic YWRtaW46YWRtaW4= x"),
        "word in small letters": raw("basic YWRtaW46YWRtaW4="),
        "not base64": raw("Basic !"),
        "bad padding": raw("Basic YWRtaW46YWRtaW4"),
        "foreign characters": raw("Basic YWRt!aW46YWRtaW4="),
        "text after the padding": raw("Basic YWRtaW46YWRtaW4=AAAA"),
        "url-safe": raw("Basic YWRt_W46YWRtaW4="),
        "Latin-1": pair("é:é".encode("latin-1")),
        "UTF-8": pair("é:é".encode()),
    }.items():
        yield request(name, "GET", "/users/1/", headers=headers)


ENDPOINTS = (AUTH, VERIFY, REFRESH, "/restricted/", "/users/", "/users/1/", "/users/987654/", "/")


def methods():
    for target in ENDPOINTS:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            yield request(f"{method} {target} by nobody", method, target)
    for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        yield request(f"{method} /restricted/", method, "/restricted/", headers=jwt("good"))
    for target in ("/users/", "/"):
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            yield request(f"{method} {target}", method, target, headers=STAFF)
    for method in ("HEAD", "POST", "OPTIONS", "TRACE"):
        yield request(f"{method} /users/1/", method, "/users/1/", headers=STAFF)
    yield request("OPTIONS of an unknown account", "OPTIONS", "/users/987654/", headers=STAFF)
    yield request("OPTIONS by the inactive account", "OPTIONS", "/users/", headers=jwt("inactive"))


def order_of_checks():
    bad = [("Accept", "image/png")]
    text = [("Content-Type", "text/plain")]
    yield request("Accept before login", "GET", "/restricted/", headers=bad)
    yield request("Accept before method", "GET", AUTH, headers=bad)
    yield request("format before login", "GET", "/users/?format=yaml")
    yield request("format before method", "GET", AUTH + "?format=yaml")
    yield request("login before method", "POST", "/restricted/")
    yield request("login before method at /", "DELETE", "/")
    yield request("login before body", "POST", "/users/", "{", JSON)
    yield request("bad login before body", "POST", "/users/", "{", JSON, basic("admin", "x"))
    yield request("method before body", "PUT", AUTH, "{", "text/plain")
    yield request("method before body, logged in", "PUT", "/users/", "{", "text/plain", STAFF)
    yield request("body after login", "POST", "/users/", "{", "text/plain", STAFF)
    yield request("unknown account before body", "PUT", "/users/987654/", "{", "text/plain", STAFF)
    yield request("Accept before body", "POST", AUTH, "{", "text/plain", bad)
    yield request("type before syntax", "POST", AUTH, "{", "text/plain")
    yield request("login before unknown account", "GET", "/users/987654/")
    yield request("OPTIONS reads no body", "OPTIONS", AUTH, "{", "text/plain")


def accepts():
    for value in (
        "*/*", "application/json", "APPLICATION/JSON", "application/*", "text/html", "text/*", "text/plain",
        "image/png", "application/xml", "image/*", "*/json", "*/html", "*/xml", "*", "", " ", ",", "nonsense", "json", "application/",
        "/json", "/", "application/json;q=0", "application/json; q=0.5", "*/*;q=0", "image/png, */*;q=0.1",
        "image/png,application/json", "text/plain, image/*", "application/json; indent=4", "application/json;indent=0",
        "application/json; indent=99", "application/json; indent=-1", "application/json; indent=x", "*/*; indent=2",
        "application/json; charset=utf-8", "application/json; version=1", "application/json/x", "application/json x",
        "application/vnd.api+json", "application/json;", ";", "application/problem+json",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ):
        yield request(f"Accept: {value}", "GET", "/restricted/", headers=[("Accept", value)] + jwt("good for alice"))
    for name, values in {
        "two, one fits": ("image/png", "application/json"),
        "two, none fits": ("image/png", "text/plain"),
    }.items():
        headers = [("Accept", value) for value in values] + jwt("good for alice")
        yield request(f"{name}", "GET", "/restricted/", headers=headers)
    for value in ("image/png", "text/html", "application/json; indent=4"):
        for target in (AUTH, "/users/", "/", "/users/1/"):
            method = "POST" if target == AUTH else "GET"
            yield request(f"{target} Accept: {value}", method, target, RIGHT if target == AUTH else None, JSON if target == AUTH else None, [("Accept", value)] + STAFF)
    for query in ("format=json", "format=yaml", "format=", "format=JSON", "format=api", "format=json&format=yaml", "format=yaml&format=json", "x=format", "format=html", "format=json%20"):
        yield request(f"?{query}", "GET", f"/restricted/?{query}", headers=jwt("good"))
        yield post(f"{AUTH}?{query}", f"{AUTH}?{query}", RIGHT)
    yield request("format and Accept agree", "GET", "/restricted/?format=json", headers=[("Accept", "application/json")] + jwt("good"))
    yield request("format and Accept differ", "GET", "/restricted/?format=json", headers=[("Accept", "text/html")] + jwt("good"))
    yield request("format=api and Accept differ", "GET", "/restricted/?format=api", headers=[("Accept", "application/json")] + jwt("good"))
    for target in ("/users/?format=yaml", "/?format=yaml", "/users/1/?format=yaml", "/users/?format=json", "/?format=json", "/users/1/?format=json"):
        yield request(f"{target} as staff", "GET", target, headers=STAFF)


def paths():
    for target in (
        "/api-token-auth", "/api-token-verify", "/api-token-refresh", "/restricted", "/users", "/users/1", "/users/987654", "/users/abc",
        "/users?x=1", "/restricted?x=y",
    ):
        yield request(f"GET {target}", "GET", target, headers=STAFF)
    yield post("POST without the slash", "/api-token-auth", RIGHT)
    yield post("POST without the slash, with a query", "/api-token-auth?x=1", RIGHT)
    for target in (
        "/nowhere", "/nowhere/", "/Restricted/", "/restricted//", "/restricted/x/", "/users//", "/users/1/x/", "/api", "/users/1//",
        "/restricted/x",
    ):
        yield request(f"GET {target}", "GET", target, headers=STAFF)
    for target in (AUTH, VERIFY, REFRESH):
        yield post(f"{target}anything", target + "anything", RIGHT)
        yield post(f"{target}anything/", target + "anything/", RIGHT)
        yield request(f"GET {target}anything", "GET", target + "anything")
    for target in (
        "/users.json", "/users.json/", "/users/1.json", "/users/1.json/", "/.json", "/users.yaml", "/users/1.yaml", "/users.api", "/users.JSON",
        "/users/a.b.json", "/users/987654.json", "/users/abc.json",
    ):
        yield request(f"GET {target} as staff", "GET", target, headers=STAFF)
    yield request("GET /users.json by nobody", "GET", "/users.json")
    yield request("GET /users.yaml by nobody", "GET", "/users.yaml")
    for target in (
        "/users/987654/", "/users/abc/", "/users/-1/", "/users/0/", "/users/01/", "/users/+1/", "/users/%201/", "/users/1_0/", "/users/1e0/",
        "/users/%D9%A1/", "/users/9223372036854775807/", "/users/9223372036854775808/", "/users/99999999999999999999999/", "/users/1%2F/",
        "/users/x@y/", "/users/%00/", "/users/%FF/",
    ):
        yield request(f"GET {target} as staff", "GET", target, headers=STAFF)
        yield request(f"GET {target} by nobody", "GET", target)
    yield request("percent in the path", "GET", "/%75sers/1/", headers=STAFF)


def users_read():
    yield request("the root", "GET", "/", headers=STAFF)
    yield request("the root with a token", "GET", "/", headers=jwt("good for alice"))
    yield request("the list", "GET", "/users/", headers=STAFF)
    yield request("the list with a token", "GET", "/users/", headers=jwt("good"))
    yield request("unknown query", "GET", "/users/?page=2&limit=1&search=alice&username=alice", headers=STAFF)
    yield request("the list, not staff", "GET", "/users/", headers=ALICE)
    for number in ("1", "2", "3"):
        yield request(f"account {number}", "GET", f"/users/{number}/", headers=STAFF)
        yield request(f"account {number}, not staff", "GET", f"/users/{number}/", headers=ALICE)
    yield request("unknown account, not staff", "GET", "/users/987654/", headers=ALICE)
    yield request("no number, not staff", "GET", "/users/abc/", headers=ALICE)
    yield request("other host", "GET", "/users/1/", headers=[("Host", "login.example.com")] + STAFF)
    yield request("other host and port", "GET", "/", headers=[("Host", "login.example.com:8443")] + STAFF)
    yield request("host in capitals", "GET", "/", headers=[("Host", "LOGIN.Example.COM")] + STAFF)


def users_create():
    def new(name, body, kind=JSON):
        return post(name, "/users/", body, kind, STAFF)

    yield new("all fields", '{"username":"bert","email":"bert@example.com","is_staff":true}')
    yield request("and it is listed", "GET", "/users/", headers=STAFF)
    yield request("and has a page", "GET", "/users/4/", headers=STAFF)
    yield post("and cannot log in", AUTH, '{"username":"bert","password":"bert"}')
    yield new("only a name", '{"username":"carl"}')
    yield new("other fields are ignored", '{"username":"dora","id":77,"pk":77,"url":"http://x/","password":"dora-pass","is_superuser":true,"is_active":false,"first_name":"D"}')
    yield post("and the password was not set", AUTH, '{"username":"dora","password":"dora-pass"}')
    yield new("form", "username=emil&email=emil%40example.com&is_staff=on", FORM)
    yield new("form without is_staff", "username=fritz", FORM)
    yield new("form with empty fields", "username=gerd&email=&is_staff=", FORM)
    yield new("multipart", parts(part("username", "hans"), part("email", "hans@example.com"), part("is_staff", "true")), MULTIPART)
    yield new("name taken", '{"username":"alice"}')
    yield new("letters of other scripts", '{"username":"한글.é+ж_@x-1"}')
    yield new("trimmed", '{"username":"  ida ","email":" ida@example.com "}')
    yield new("number as a name", '{"username":123}')
    yield new("fraction as a name", '{"username":1.50}')
    yield new("e-mail null", '{"username":"j1","email":null}')
    yield new("is_staff null", '{"username":"j2","is_staff":null}')
    yield new("all null", '{"username":null,"email":null,"is_staff":null}')
    yield new("nothing", "{}")
    yield new("empty body", "")
    yield new("list", "[]")
    yield new("null", "null")
    yield new("not JSON", "nothing")
    yield new("other type", '{"username":"x"}', "text/plain")
    yield new("e-mail empty", '{"username":"k1","email":""}')
    yield new("e-mail blank", '{"username":"k2","email":"  "}')
    yield new("name of 150", json.dumps({"username": "n" * 150}))
    yield new("name of 151", json.dumps({"username": "n" * 151}))
    yield new("name of 151 bad letters", json.dumps({"username": "!" * 151}))
    yield new("all bad", '{"username":"a b","email":"x","is_staff":2}')
    for name, value in text_values().items():
        if name not in ("integer", "unescaped Hangul", "zero"):
            yield new(f"username: {name}", '{"username":%s}' % value)
            yield new(f"email: {name}", '{"username":"alice","email":%s}' % value)
    for index, name in enumerate(("a b", "a!", "a/b", "a:b", "a\u00a0b", "a\u200db", "½", "²", "a,b", "<a>", "a\nb", "a-b.c", "_", "@", "é", "e\u0301", "٣", "ⅷ", "①", "ª", "\u0940")):
        yield new(f"name {index}: {name!r}", json.dumps({"username": name}))
    for name in ("Bert", "ALICE "):
        yield new(f"name taken but for case: {name}", json.dumps({"username": name}))


EMAILS = (
    "a@b.cd", "a.b@c.de", "a+b@c.de", "a@b", "a@localhost", "@b.cd", "a@", "a", "a@@b.cd", "a@b@c.de", "a b@c.de", '"a b"@c.de',
    '"a"@c.de', '"a\\"b"@c.de', "a@[127.0.0.1]", "a@[::1]", "a@[300.1.1.1]", "a@[x]", "a@127.0.0.1", ".a@b.cd", "a.@b.cd", "a..b@c.de",
    "a@-b.cd", "a@b-.cd", "a@b.c", "a@b.c-", "a@b..cd", "a@b.cd.", "a@.b.cd", "a@b_c.de", "é@b.cd", "a@é.de", "a@한글.kr", "a@xn--9n2bp8q.kr",
    "a@b.é", "a!#$%&'*+/=?^_`{|}~-z@b.cd", "a(b)@c.de", "a,b@c.de", "a@b.123", "A@B.CD", "a@b.cd\u3002ef", "a@[127.0.0.1", "a@[1::2::3]", "a@LOCALHOST",
    "a@" + "b" * 63 + ".cd", "a@" + "b" * 64 + ".cd", "a@b." + "c" * 63, "a@b." + "c" * 64,
    "a" * 248 + "@bc.de", "a" * 249 + "@bc.de", "a" * 314 + "@bc.de", "a" * 315 + "@bc.de", "x" * 255,
)


def users_emails():
    for index, address in enumerate(EMAILS):
        body = json.dumps({"email": address})
        yield request(f"{index}: {address[:40]}", "PATCH", "/users/2/", body, JSON, STAFF)
    taken = '{"username":"neu","email":"ADMIN@naver.com"}'
    yield post("e-mail taken", "/users/", taken, JSON, STAFF)
    yield request("e-mail taken, by a change", "PATCH", "/users/2/", taken, JSON, STAFF)


def users_booleans():
    values = [
        "true", "false", "1", "0", "2", "-1", "1.0", "0.0", "1.5", "-0", "-0.0", "1e0", "100000000000000000000", "[]", "[true]", "{}", '""', '" "',
        '"null"', '"None"',
    ] + [
        json.dumps(text)
        for text in "t T y Y yes Yes YES yEs true True TRUE tRue on On ON oN 1 1.0 f F n N no No NO nO false False FALSE off Off OFF 0 0.0 2 x".split()
    ] + ['" true"', '"true "', '"\\ud800"', '"\\u0000"']
    for value in values:
        body = '{"username":"alice","is_staff":%s}' % value
        yield request(f"JSON {value}", "PATCH", "/users/2/", body, JSON, STAFF)
    for value in ("true", "on", "1", "no", "0", "", "null", "2", "%20"):
        yield request(f"form {value}", "PATCH", "/users/2/", f"is_staff={value}", FORM, STAFF)


def users_change():
    def change(name, method, body, kind=JSON, target="/users/2/"):
        return request(name, method, target, body, kind, STAFF)

    yield change("PUT name only", "PUT", '{"username":"alice2"}')
    yield change("PUT all", "PUT", '{"username":"alice","email":"new@example.com","is_staff":true}')
    yield change("PUT name only leaves the rest", "PUT", '{"username":"alice"}')
    yield change("PUT without a name", "PUT", '{"email":"x@example.com"}')
    yield change("PUT nothing", "PUT", "{}")
    yield change("PUT form without is_staff", "PUT", "username=alice", FORM)
    yield change("PUT form with an empty e-mail", "PUT", "username=alice&email=", FORM)
    yield change("PUT null", "PUT", "null")
    yield change("PUT list", "PUT", "[]")
    yield change("PUT not JSON", "PUT", "nothing")
    yield change("PUT other type", "PUT", "x", "text/plain")
    yield change("PUT own name", "PUT", '{"username":"alice"}')
    yield change("PUT taken name", "PUT", '{"username":"admin"}')
    yield change("PUT all bad", "PUT", '{"username":"a b","email":"x","is_staff":"x"}')
    yield change("PATCH nothing", "PATCH", "{}")
    yield change("PATCH empty body", "PATCH", "")
    yield change("PATCH null", "PATCH", "null")
    yield change("PATCH list", "PATCH", "[]")
    yield change("PATCH e-mail", "PATCH", '{"email":"alice@example.com"}')
    yield change("PATCH e-mail to nothing", "PATCH", '{"email":""}')
    yield change("PATCH is_staff", "PATCH", '{"is_staff":true}')
    yield change("PATCH form leaves is_staff", "PATCH", "email=alice%40example.com", FORM)
    yield change("PATCH empty form", "PATCH", "", FORM)
    yield change("PATCH is_staff empty in a form", "PATCH", "is_staff=", FORM)
    yield change("PATCH multipart", "PATCH", parts(part("email", "alice@example.org")), MULTIPART)
    yield change("PATCH taken name", "PATCH", '{"username":"sleeper"}')
    yield change("PATCH name null", "PATCH", '{"username":null}')
    yield change("PATCH name blank", "PATCH", '{"username":""}')
    yield change("PATCH ignored fields", "PATCH", '{"url":"x","id":9,"password":"x","is_active":false,"is_superuser":true}')
    yield request("alice still logs in", "GET", "/restricted/", headers=jwt("good for alice"))
    yield change("rename", "PATCH", '{"username":"alicia"}')
    yield request("the old token is lost", "GET", "/restricted/", headers=jwt("good for alice"))
    yield post("verify says so too", VERIFY, '{"token":"{{token:good for alice}}"}')
    yield post("and logs in under the new name", AUTH, '{"username":"alicia","password":"alice-pass"}')
    yield change("PUT unknown account", "PUT", '{"username":"x"}', JSON, "/users/987654/")
    yield change("PATCH unknown account", "PATCH", "{}", JSON, "/users/abc/")
    yield request("DELETE unknown account", "DELETE", "/users/987654/", headers=STAFF)
    yield request("DELETE", "DELETE", "/users/2/", headers=STAFF)
    yield request("DELETE again", "DELETE", "/users/2/", headers=STAFF)
    yield request("it is gone", "GET", "/users/2/", headers=STAFF)
    yield request("and from the list", "GET", "/users/", headers=STAFF)
    yield post("and cannot log in", AUTH, '{"username":"alicia","password":"alice-pass"}')
    yield request("DELETE with a body", "DELETE", "/users/3/", "{", "text/plain", STAFF)
    yield request("DELETE oneself", "DELETE", "/users/1/", headers=STAFF)
    yield request("and one's token is lost", "GET", "/restricted/", headers=jwt("good"))


def users_by_others():
    def by(name, method, target, body=None, kind=JSON):
        return request(name, method, target, body, kind if body is not None else None, ALICE)

    yield by("POST", "POST", "/users/", '{"username":"x1"}')
    yield by("POST of a bad body", "POST", "/users/", "{")
    yield by("OPTIONS of the list", "OPTIONS", "/users/")
    yield by("OPTIONS of oneself", "OPTIONS", "/users/2/")
    yield by("OPTIONS of another", "OPTIONS", "/users/1/")
    yield by("PATCH oneself", "PATCH", "/users/2/", '{"email":"a2@example.com"}')
    yield by("PATCH oneself to staff", "PATCH", "/users/2/", '{"is_staff":true}')
    yield by("PATCH oneself to staff, bad", "PATCH", "/users/2/", '{"is_staff":"maybe"}')
    yield by("PUT oneself", "PUT", "/users/2/", '{"username":"alice","is_staff":true}')
    yield by("PATCH another", "PATCH", "/users/1/", '{"email":"a2@example.com"}')
    yield by("PUT another", "PUT", "/users/1/", "{")
    yield by("DELETE another", "DELETE", "/users/3/")
    yield by("DELETE unknown", "DELETE", "/users/987654/")
    yield by("TRACE another", "TRACE", "/users/1/")
    yield by("DELETE oneself", "DELETE", "/users/2/")
    yield by("and is nobody", "GET", "/users/")


SCENARIOS = {
    "login_bodies": login_bodies,
    "syntax": syntax,
    "content_types": content_types,
    "forms": forms,
    "login_headers": login_headers,
    "tokens_in_bodies": tokens_in_bodies,
    "header_authentication": header_authentication,
    "basic_authentication": basic_authentication,
    "methods": methods,
    "order_of_checks": order_of_checks,
    "accepts": accepts,
    "paths": paths,
    "users_read": users_read,
    "users_create": users_create,
    "users_emails": users_emails,
    "users_booleans": users_booleans,
    "users_change": users_change,
    "users_by_others": users_by_others,
}

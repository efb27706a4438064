"""The recipes of the tokens that the recorded requests carry.

A token cannot be kept in a recording, since it expires, so the corpus keeps how to make it.
`{{now+300}}` in the claims is filled in when the token is made.
"""
import base64
import hashlib
import hmac
import re

SITE = "site"
OTHER = "other"
HS256 = '{"typ":"JWT","alg":"HS256"}'


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def recipe(claims, header=HS256, key=SITE, digest="sha256", **changes):
    """`changes`: header_raw, claims_raw (segments as they are), signature (replaces), append."""
    return {"header": header, "claims": claims, "key": key, "digest": digest, **changes}


def fill_times(text, now):
    return re.sub(
        r"\{\{now([+-]\d+)?\}\}", lambda found: str(now + int(found.group(1) or 0)), text
    )


def mint(recipe, now, keys):
    header = recipe.get("header_raw") or b64(recipe["header"].encode())
    claims = recipe.get("claims_raw", b64(fill_times(recipe["claims"], now).encode()))
    signed = f"{header}.{claims}"
    mac = hmac.new(keys[recipe["key"]].encode(), signed.encode(), getattr(hashlib, recipe["digest"]))
    signature = b64(mac.digest())
    if recipe.get("other_last_bits"):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        signature = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    signature = recipe.get("signature", signature)
    return f"{signed}.{signature}{recipe.get('append', '')}"


def claims(username='"admin"', exp="{{now+300}}", more="", user_id=1):
    name = "" if username is None else f'"username":{username},'
    end = "" if exp is None else f'"exp":{exp},'
    return f'{{"user_id":{user_id},' + name + end + '"email":"admin@naver.com"' + (more and "," + more) + "}"


WITH_ORIGIN = '"orig_iat":{{now}}'


def alg(value):
    return '{"typ":"JWT","alg":' + value + "}"


GOOD = {
    "good": recipe(claims(more=WITH_ORIGIN)),
    # Of a later second: alice is renamed within this one, twice, which revokes earlier tokens in Hallpass.
    "good for alice": recipe(claims('"alice"', more='"orig_iat":{{now+3}}', user_id=2)),
    "no orig_iat": recipe(claims()),
    "of the tutorial's year": recipe(
        '{"username":"admin","user_id":1,"email":"admin@naver.com","exp":{{now+300}}}',
        header='{"alg":"HS256","typ":"JWT"}',
    ),
    "only username and exp": recipe('{"username":"admin","exp":{{now+300}}}'),
    "user_id of somebody else": recipe(
        '{"user_id":2,"username":"admin","exp":{{now+300}},"email":"x@y.zz",' + WITH_ORIGIN + "}"
    ),
    "user_id of nobody": recipe('{"user_id":"x","username":"admin","exp":{{now+300}}}'),
    "unknown claims": recipe(claims(more=WITH_ORIGIN + ',"sub":"7","jti":"x","iss":"me","a":[1]')),
    "iss null": recipe(claims(more='"iss":null')),
    "kid": recipe(claims(more=WITH_ORIGIN), header='{"typ":"JWT","alg":"HS256","kid":"7","x":1}'),
    "kid a number": recipe(claims(), header='{"alg":"HS256","kid":7}'),
    "no typ": recipe(claims(), header='{"alg":"HS256"}'),
    "other typ": recipe(claims(), header='{"typ":"at+jwt","alg":"HS256"}'),
    "typ a number": recipe(claims(), header='{"typ":5,"alg":"HS256"}'),
    "spaces in JSON": recipe(' {"username" : "admin" , "exp" : {{now+300}} } '),
    "last of two usernames": recipe('{"username":"nobody","exp":{{now+300}},"username":"admin"}'),
    "exp a fraction": recipe(claims(exp="{{now+300}}.9")),
    "exp far away": recipe(claims(exp="99999999999")),
    "nbf past": recipe(claims(more='"nbf":{{now-10}}')),
    "nbf a fraction": recipe(claims(more='"nbf":{{now-10}}.5')),
    "iat past": recipe(claims(more='"iat":{{now-10}}')),
    "iat a fraction": recipe(claims(more='"iat":{{now-10}}.5')),
    "last of two exps": recipe(claims(exp='1,"exp":{{now+300}}')),
    "NaN in an unknown claim": recipe(claims(more=WITH_ORIGIN + ',"x":NaN')),
    "infinite numbers in unknown claims": recipe(claims(more='"x":[Infinity,-Infinity,1e400,-1e400]')),
    "400 digits in an unknown claim": recipe(claims(more='"x":1' + "0" * 400)),
    "lone surrogates in an unknown claim": recipe(claims(more=WITH_ORIGIN + ',"\\ud800":["\\udc00x\\ud83d"]')),
    "email a lone surrogate": recipe('{"username":"admin","exp":{{now+300}},"email":"\\ud800@x.yz"}'),
    "kid a lone surrogate": recipe(claims(), header='{"alg":"HS256","kid":"\\ud800","x":NaN}'),
    "escaped username": recipe(claims('"\\u0061dmin"', more=WITH_ORIGIN)),
}

BAD = {
    "other key": recipe(claims(more=WITH_ORIGIN), key=OTHER),
    "no signature": recipe(claims(), signature=""),
    "short signature": recipe(claims(), signature="AAAA"),
    "signature not base64": recipe(claims(), signature="A"),
    "hs512 signature": recipe(claims(), digest="sha512"),
    "header not base64": recipe(claims(), header_raw="A"),
    "header not JSON": recipe(claims(), header="nothing"),
    "header a list": recipe(claims(), header="[]"),
    "header a text": recipe(claims(), header='"HS256"'),
    "header not UTF-8": recipe(claims(), header_raw="_____w"),
    "claims not base64": recipe(claims(), claims_raw="A"),
    "claims not JSON": recipe("{"),
    "claims a list": recipe("[]"),
    "claims a number": recipe("7"),
    "claims null": recipe("null"),
    "claims not UTF-8": recipe(claims(), claims_raw="_____w"),
    "claims empty text": recipe(claims(), claims_raw=""),
    "four parts": recipe(claims(), append=".AAAA"),
    "expired": recipe(claims(exp="{{now-10}}", more=WITH_ORIGIN)),
    "expired long ago": recipe(claims(exp="1")),
    "exp zero": recipe(claims(exp="0")),
    "exp negative": recipe(claims(exp="-5")),
    "exp true": recipe(claims(exp="true")),
    "exp false": recipe(claims(exp="false")),
    "expired, other key": recipe(claims(exp="{{now-10}}"), key=OTHER),
    "expired, no username": recipe(claims(username=None, exp="{{now-10}}")),
    "exp a word": recipe(claims(exp='"soon"')),
    "exp empty text": recipe(claims(exp='""')),
    "exp NaN": recipe(claims(exp="NaN")),
    "last of two exps is past": recipe(claims(exp='{{now+300}},"exp":1')),
    "nbf NaN": recipe(claims(more='"nbf":NaN')),
    "username NaN": recipe(claims("NaN")),
    "username Infinity": recipe(claims("Infinity")),
    "claims with a small nan": recipe(claims(more='"x":nan')),
    "claims with a signed NaN": recipe(claims(more='"x":-NaN')),
    "claims with half a surrogate": recipe(claims(more='"x":"\\ud80"')),
    "nbf a word": recipe(claims(more='"nbf":"soon"')),
    "no username": recipe(claims(username=None)),
    "username null": recipe(claims("null")),
    "username empty": recipe(claims('""')),
    "username zero": recipe(claims("0")),
    "username false": recipe(claims("false")),
    "username empty list": recipe(claims("[]")),
    "username empty object": recipe(claims("{}")),
    "username a number": recipe(claims("7")),
    "username true": recipe(claims("true")),
    "username unknown": recipe(claims('"nobody"')),
    "username in capitals": recipe(claims('"ADMIN"')),
    "username with spaces": recipe(claims('" admin "')),
    "username the e-mail": recipe(claims('"admin@naver.com"')),
    "inactive": recipe(claims('"sleeper"', more=WITH_ORIGIN)),
    "inactive, expired": recipe(claims('"sleeper"', exp="{{now-10}}")),
}

ALGORITHMS = {
    "alg none": recipe(claims(), header=alg('"none"'), signature=""),
    "alg none, signed": recipe(claims(), header=alg('"none"')),
    "alg HS512": recipe(claims(), header=alg('"HS512"'), digest="sha512"),
    "alg HS384": recipe(claims(), header=alg('"HS384"'), digest="sha384"),
    "alg RS256": recipe(claims(), header=alg('"RS256"')),
    "alg in small letters": recipe(claims(), header=alg('"hs256"')),
    "alg missing": recipe(claims(), header='{"typ":"JWT"}'),
    "alg null": recipe(claims(), header=alg("null")),
    "alg a number": recipe(claims(), header=alg("7")),
    "alg HS512, other key": recipe(claims(), header=alg('"HS512"'), key=OTHER),
    "alg HS512, expired": recipe(claims(exp="1"), header=alg('"HS512"')),
    "alg HS512, claims a list": recipe("[]", header=alg('"HS512"')),
    "nbf in the future": recipe(claims(more='"nbf":{{now+60}}')),
    "nbf in the future, expired": recipe(claims(exp="{{now-60}}", more='"nbf":{{now+60}}')),
    "aud": recipe(claims(more='"aud":"me"')),
    "aud null": recipe(claims(more='"aud":null')),
    "aud, expired": recipe(claims(exp="{{now-60}}", more='"aud":"me"')),
    "aud, no username": recipe(claims(username=None, more='"aud":"me"')),
    "iat a word": recipe(claims(more='"iat":"soon"')),
    "iat NaN": recipe(claims(more='"iat":NaN')),
    "aud NaN": recipe(claims(more='"aud":NaN')),
    "iat a word, expired": recipe(claims(exp="1", more='"iat":"soon"')),
}

# Answered with a 500 page by the reference, everywhere.
BROKEN = {
    "exp null": recipe(claims(exp="null")),
    "exp a list": recipe(claims(exp="[1]")),
    "exp an object": recipe(claims(exp="{}")),
    "exp endless": recipe(claims(exp="1e999")),
    "exp Infinity": recipe(claims(exp="Infinity")),
    "nbf -Infinity": recipe(claims(more='"nbf":-Infinity')),
    "iat endless": recipe(claims(more='"iat":1e400')),
    "username a lone surrogate": recipe(claims('"admin\\ud800"')),
    "nbf null": recipe(claims(more='"nbf":null')),
    "nbf a list": recipe(claims(more='"nbf":[]')),
    "iat null": recipe(claims(more='"iat":null')),
    "iat a list": recipe(claims(more='"iat":[]')),
}

# Accepted by the reference, refused by Hallpass.
REFUSED = {
    "exp missing": recipe(claims(exp=None, more=WITH_ORIGIN)),
    "exp the text of a number": recipe(claims(exp='"{{now+300}}"', more=WITH_ORIGIN)),
    "iat in the future": recipe(claims(more=WITH_ORIGIN + ',"iat":{{now+600}}')),
    "crit": recipe(claims(more=WITH_ORIGIN), header='{"alg":"HS256","crit":["b64"],"b64":true}'),
    "signature with padding": recipe(claims(more=WITH_ORIGIN), append="="),
    "signature with foreign characters": recipe(claims(more=WITH_ORIGIN), append="!!!!"),
    "signature with other last bits": recipe(claims(more=WITH_ORIGIN), other_last_bits=True),
}

ORIGINS = {
    "orig_iat null": recipe(claims(more='"orig_iat":null')),
    "orig_iat zero": recipe(claims(more='"orig_iat":0')),
    "orig_iat zero as a fraction": recipe(claims(more='"orig_iat":0.0')),
    "orig_iat false": recipe(claims(more='"orig_iat":false')),
    "orig_iat empty text": recipe(claims(more='"orig_iat":""')),
    "orig_iat empty list": recipe(claims(more='"orig_iat":[]')),
    "orig_iat true": recipe(claims(more='"orig_iat":true')),
    "orig_iat negative": recipe(claims(more='"orig_iat":-1')),
    "orig_iat a week ago": recipe(claims(more='"orig_iat":{{now-604810}}')),
    "orig_iat almost a week ago": recipe(claims(more='"orig_iat":{{now-604700}}')),
    "orig_iat an hour ago": recipe(claims(more='"orig_iat":{{now-3600}}')),
    "orig_iat a fraction": recipe(claims(more='"orig_iat":{{now-3600}}.5')),
    "orig_iat a week ago, inactive": recipe(claims('"sleeper"', more='"orig_iat":1')),
}
BROKEN_ORIGINS = {
    "orig_iat a text": recipe(claims(more='"orig_iat":"1"')),
    "orig_iat a list": recipe(claims(more='"orig_iat":[1]')),
}
REFUSED_ORIGINS = {"orig_iat in the future": recipe(claims(more='"orig_iat":{{now+600}}'))}

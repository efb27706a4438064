"""traefik.py STATIC DYNAMIC: checks configuration files of Traefik without Traefik."""

import re
import sys

import yaml

# Go's syntax for ignoring case is Python's as well.
SPELLINGS = ["X-Auth-User-Id", "X_auth_user_id", "X.auth.user.id", "X-Auth_username", "X_auth-Email"]


def read(name):
    with open(name, encoding="utf-8") as file:
        return yaml.safe_load(file)


static, http = read(sys.argv[1]), read(sys.argv[2])["http"]
faults = []
for name, router in http["routers"].items():
    for kind, used, known in (
        ("service", [router["service"]], http["services"]),
        ("middleware", router.get("middlewares", []), http["middlewares"]),
        ("entry point", router["entryPoints"], static["entryPoints"]),
    ):
        faults += [f"{name}: no {kind} {it}" for it in used if it not in known]
    if router["service"] != "hallpass" and not router.get("middlewares"):
        faults.append(f"{name}: nothing removes X-Auth-* headers")
    if router["rule"].count("(") != router["rule"].count(")"):
        faults.append(f"{name}: the rule has an open bracket")

if static["entryPoints"]["websecure"]["http"].get("aliasHeadersStrategy") != "delete":
    faults.append("other spellings of X-Auth-* reach the public part")
resolver = static["entryPoints"]["websecure"]["http"]["tls"]["certResolver"]
if resolver not in static["certificatesResolvers"]:
    faults.append(f"no resolver {resolver}")
forward_auth = http["middlewares"]["forward-auth"]["forwardAuth"]
if not forward_auth["address"].endswith("/v1/forward-auth") or forward_auth["trustForwardHeader"]:
    faults.append("forward-auth asks the wrong address or trusts the client")
removed = re.compile(forward_auth["authResponseHeadersRegex"])
faults += [f"{it} is not removed" for it in SPELLINGS if not removed.search(it)]
if faults:
    sys.exit("\n".join(faults))
print(f"Traefik: {', '.join(http['routers'])}")

#!/usr/bin/env python3
"""test_authorization.py - flow 18 over HTTP: route x role x tenant, and route x defect of the token. What is expected of a cell is computed here, from the tables
below alone; the tokens are made here too, with the deployment's key but none of its code."""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jose  # noqa: E402
import provider as providers  # noqa: E402
from server import Client, Server  # noqa: E402

FLOWD = os.path.join(sys.argv[1] if len(sys.argv) > 1 else "build", "flowd")
passed, failed = 0, 0

APPOINTMENT = {"title": "Dentist", "start": "2025-11-10T09:00:00Z"}
# method, path, body, scopes that it asks for; None: it asks for no token
ROUTES = [
    ("GET", "/api/v1/appointments", None, ["calendar:read"]),
    ("POST", "/api/v1/appointments", APPOINTMENT, ["calendar:write"]),
    ("GET", "/api/v1/transactions", None, ["finance:read"]),
    ("POST", "/api/v1/transactions", {"amount": "5"}, ["finance:write"]),
    ("POST", "/api/v1/bookings", {**APPOINTMENT, "amount": "7"}, ["calendar:write", "finance:write"]),
    ("GET", "/api/v1/hello", None, None),
    ("GET", "/runs", None, []),
]
ROLES = {
    "nobody": [], "GUEST": ["calendar:read"], "USER": ["calendar:read", "finance:write"], "ACCOUNTANT": ["finance:read", "finance:write"], "ADMIN": ["admin:all"],
    "planner": ["calendar:read", "calendar:write"], "all but reading": ["calendar:write", "finance:write"], "look-alikes": ["calendar", "Calendar:Read", "calendar:read2", "finance:*", "*", "admin:al", "admin"],
}
TENANTS = ["family-1", "family-2", "family-3 \u2713"]


def check(name, good, more=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"  FAIL {name} {more}")


def claims(tenant="family-1", user="anna", scopes=(), roles=(), session="S-matrix", **more):
    now = int(time.time())
    out = {"iss": "https://fidus.ai", "sub": user, "aud": "fidus-api", "exp": now + 3600, "iat": now, "tenant_id": tenant, "user_id": user, "email": user + "@example.com",
           "roles": list(roles), "scopes": list(scopes), "session_id": session}
    out.update(more)
    return {name: value for name, value in out.items() if value is not ...}


def bearer(token):
    return [("Authorization", "Bearer " + token)]


def allowed(required, scopes):
    return required is None or all(scope in scopes or "admin:all" in scopes for scope in required)


def session_of(server, key, tenant, scopes, **more):
    return jose.es256(key, claims(tenant, scopes=scopes, **more), typ="at+jwt")


# ---- route x role x tenant --------------------------------------------------------------------------------------

def test_roles(server, key):
    client = Client(server)
    seeded, seen = {}, {}
    for tenant in TENANTS:                                     # each tenant has so many appointments, of two users
        token = session_of(server, key, tenant, ["calendar:write"])
        for number in range(1 + TENANTS.index(tenant)):
            status, _, text = client.ask("POST", "/api/v1/appointments", {**APPOINTMENT, "title": f"{tenant} {number}"}, bearer(token))
            assert status == 200, (status, text)
        seeded[tenant] = 1 + TENANTS.index(tenant)
    made = {tenant: 0 for tenant in TENANTS}
    for role, scopes in ROLES.items():
        for tenant in TENANTS:
            token = session_of(server, key, tenant, scopes, roles=[role])
            for method, path, body, required in ROUTES:
                status, headers, text = client.ask(method, path, body, bearer(token))
                expected = 200 if allowed(required, scopes) else 403
                check(f"{method} {path} as {role} of {tenant}: {expected}", status == expected, f"found {status} {text[:200]}")
                if status == 200 and path == "/api/v1/appointments" and method == "GET":
                    titles = [row["title"] for row in json.loads(text)]
                    check(f"{role} of {tenant} sees its rows alone", all(title.startswith(tenant) or title == "Dentist" for title in titles) and len(titles) == seeded[tenant] + made[tenant], text)
                if status == 200 and "calendar:write" in (required or []):
                    made[tenant] += 1
                if status == 403:
                    check(f"{method} {path} as {role}: says which scope", any(name == "WWW-Authenticate" and "insufficient_scope" in value for name, value in headers), str(headers))
                if role == "ADMIN" and path == "/runs":
                    seen[tenant] = {run["run"] for run in json.loads(text)["runs"]}
    for tenant in TENANTS:
        check(f"an admin of {tenant} sees runs, and none of another tenant", seen[tenant] and not any(seen[tenant] & seen[other] for other in TENANTS if other != tenant))
        mine, others = session_of(server, key, tenant, ["admin:all"]), TENANTS[TENANTS.index(tenant) - 1]
        check(f"he opens one of {tenant}", client.ask("GET", "/runs/" + min(seen[tenant]), None, bearer(mine))[0] == 200)
        check(f"and none of {others}", client.ask("GET", "/runs/" + min(seen[others]), None, bearer(mine))[0] == 404)
    # another user of the tenant, with every right but another name, sees no row of anna's
    token = jose.es256(key, claims("family-1", user="eve", scopes=["calendar:read"]), typ="at+jwt")
    check("another user of the tenant sees no row", client.ask("GET", "/api/v1/appointments", None, bearer(token))[2] == "[]")
    client.close()


# ---- route x defect -----------------------------------------------------------------------------------------------

def flipped(token, at):
    parts = token.split(".")
    raw = bytearray(jose.unb64url(parts[2]))
    raw[at] ^= 1
    return ".".join(parts[:2] + [jose.b64url(bytes(raw))])


def with_payload(token, change):
    """The payload of another token under the signature of this one."""
    parts = token.split(".")
    payload = jose.payload_of(token)
    payload.update(change)
    return ".".join([parts[0], jose.b64url(json.dumps(payload).encode()), parts[2]])


def trailing_bits(token):
    """Another text of the same signature: 64 bytes leave four bits of the last character unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def der(raw):
    def number(part):
        part = part.lstrip(b"\0")
        part = b"\0" + part if part[0] & 0x80 else part
        return b"\x02" + bytes([len(part)]) + part
    inside = number(raw[:32]) + number(raw[32:])
    return b"\x30" + bytes([len(inside)]) + inside


def defects(key, scopes):
    """(name, headers, expected): all of these are tokens of somebody with those scopes but for the one thing that the name says."""
    now = int(time.time())
    good = claims(scopes=scopes)
    token = jose.es256(key, good, typ="at+jwt")
    other, text = jose.Key(key.kid), json.dumps(good)

    def of(typ="at+jwt", **changes):
        return bearer(jose.es256(key, claims(**{"scopes": scopes, **changes}), typ=typ))

    def header(**more):
        return bearer(jose.es256(key, good, **{"typ": "at+jwt", **more}))
    yield "nothing wrong", bearer(token), 200
    yield "nothing wrong, scheme in lower case", [("Authorization", "bearer " + token)], 200
    yield "nothing wrong, no kid: one key only", bearer(jose.compact({"alg": "ES256", "typ": "at+jwt"}, good, key.sign)), 200
    yield "nothing wrong, typ in full", of(typ="application/at+jwt"), 200
    yield "no token", [], 401
    yield "empty token", [("Authorization", "Bearer ")], 401
    yield "no scheme", [("Authorization", token)], 401
    yield "another scheme", [("Authorization", "Basic " + token)], 401
    yield "two tokens", [("Authorization", f"Bearer {token} {token}")], 401
    yield "nonsense", bearer("nonsense"), 401
    yield "two parts", bearer(".".join(token.split(".")[:2])), 401
    yield "four parts", bearer(token + ".AAAA"), 401
    yield "no signature", bearer(".".join(token.split(".")[:2]) + "."), 401
    yield "alg none", bearer(jose.unsigned(good, "none", "at+jwt")), 401
    yield "alg none with a signature", bearer(jose.compact({"alg": "none", "typ": "at+jwt"}, good, key.sign)), 401
    yield "alg None", bearer(jose.unsigned(good, "None", "at+jwt") + "AAAA"), 401
    yield "no alg", bearer(jose.compact({"typ": "at+jwt", "kid": key.kid}, good, key.sign)), 401
    yield "HMAC with the public key", bearer(jose.hs256(json.dumps(key.jwk()).encode(), good, "at+jwt", kid=key.kid)), 401
    yield "HMAC with x of the public key", bearer(jose.hs256(jose.unb64url(key.jwk()["x"]), good, "at+jwt", kid=key.kid)), 401
    yield "HMAC with nothing", bearer(jose.hs256(b"", good, "at+jwt", kid=key.kid)), 401
    yield "another key under the same kid", bearer(jose.es256(other, good, typ="at+jwt")), 401
    yield "another key without a kid", bearer(jose.compact({"alg": "ES256", "typ": "at+jwt"}, good, other.sign)), 401
    yield "alg of another curve", bearer(jose.compact({"alg": "ES384", "typ": "at+jwt", "kid": key.kid}, good, key.sign)), 401
    yield "kid that is a path", header(kid="../../../../dev/null"), 401
    yield "kid that is SQL", header(kid="x' UNION SELECT 'a"), 401
    yield "kid that is a number", header(kid=7), 401
    yield "kid of 300 characters", header(kid="k" * 300), 401
    yield "key in the header", bearer(jose.es256(other, good, typ="at+jwt", jwk=other.jwk())), 401
    yield "jku", header(jku="http://127.0.0.1:9/jwks"), 401
    yield "x5u", header(x5u="http://127.0.0.1:9/x"), 401
    yield "x5c", header(x5c=["AA=="]), 401
    yield "crit", header(crit=["exp"]), 401
    yield "b64 false", header(b64=False), 401
    yield "header key twice", bearer(jose.compact('{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"%s"}' % key.kid, good, key.sign)), 401
    yield "claim twice", bearer(jose.es256(key, text[:-1] + ', "tenant_id": "family-2"}', typ="at+jwt")), 401
    yield "payload that is a list", bearer(jose.es256(key, "[" + text + "]", typ="at+jwt")), 401
    yield "payload cut short", bearer(jose.es256(key, text[:-1], typ="at+jwt")), 401
    yield "tenant tampered with", bearer(with_payload(token, {"tenant_id": "family-2"})), 401
    yield "scopes tampered with", bearer(with_payload(token, {"scopes": ["admin:all"]})), 401
    yield "life tampered with", bearer(with_payload(token, {"exp": now + 999999})), 401
    yield "first bit of the signature", bearer(flipped(token, 0)), 401
    yield "last bit of the signature", bearer(flipped(token, 63)), 401
    yield "bits behind the signature", bearer(trailing_bits(token)), 401
    yield "padding", bearer(token + "=="), 401
    yield "space at the end", bearer(token + " x"), 401
    yield "signature as DER", bearer(jose.compact({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, good, lambda data: der(key.sign(data)))), 401
    yield "signature of nothing", bearer(jose.compact({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, good, lambda data: bytes(64))), 401
    yield "signature with something behind", bearer(jose.compact({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, good, lambda data: key.sign(data) + b"\0")), 401
    yield "expired", of(exp=now - 31, iat=now - 3600), 401
    yield "no exp", of(exp=...), 401
    yield "exp as a text", of(exp=str(now + 3600)), 401
    yield "exp beyond all numbers", bearer(jose.es256(key, text.replace(f'"exp": {good["exp"]}', '"exp": 1e400'), typ="at+jwt")), 401
    yield "no iat", of(iat=...), 401
    yield "iat in the future", of(iat=now + 120), 401
    yield "nbf in the future", of(nbf=now + 120), 401
    yield "nbf as a text", of(nbf="now"), 401
    yield "another audience", of(aud="other-api"), 401
    yield "no audience", of(aud=...), 401
    yield "another issuer", of(iss="https://evil.example"), 401
    yield "issuer with a slash more", of(iss="https://fidus.ai/"), 401
    yield "no issuer", of(iss=...), 401
    yield "an ID token", of(typ="JWT"), 401
    yield "typ of a logout token", of(typ="logout+jwt"), 401
    yield "no tenant", of(tenant_id=...), 401
    yield "tenant of visitors", of(tenant_id="public"), 401
    yield "empty tenant", of(tenant_id=""), 401
    yield "tenant that is a list", of(tenant_id=["family-1", "family-2"]), 401
    yield "tenant with a line break", of(tenant_id="family-1\nfamily-2"), 401
    yield "two users", of(user_id="bob"), 401
    yield "no user", of(sub=..., user_id=...), 401
    yield "no session", of(session_id=...), 401
    yield "session that was revoked", of(session_id="S-revoked"), 401
    yield "scopes as a text", bearer(jose.es256(key, {**good, "scopes": "admin:all"}, typ="at+jwt")), 401
    yield "scopes that hold a list", of(scopes=[["admin:all"]]), 401
    yield "65 scopes", of(scopes=["s%d" % number for number in range(65)]), 401
    yield "token of 17 KB", of(padding="x" * 12500), (401, 431, 400)
    yield "nothing wrong, in a cookie", [("Cookie", "a=b; fidus_session=" + token), ("Sec-Fetch-Site", "same-origin")], 200
    yield "in a cookie, asked for by another page", [("Cookie", "fidus_session=" + token), ("Sec-Fetch-Site", "cross-site")], "cookie"
    yield "in a cookie, from another origin", [("Cookie", "fidus_session=" + token), ("Origin", "https://evil.example")], "cookie"
    yield "in a cookie, origin unknown", [("Cookie", "fidus_session=" + token)], "cookie"
    yield "in a cookie, origin null", [("Cookie", "fidus_session=" + token), ("Origin", "null")], "cookie"
    yield "in two cookies", [("Cookie", f"fidus_session={token}; fidus_session={token}"), ("Sec-Fetch-Site", "same-origin")], 401
    yield "another token in the header than in the cookie", [("Authorization", "Bearer x"), ("Cookie", "fidus_session=" + token)], 401


def test_defects(server, key):
    client = Client(server)
    scopes = ["calendar:read", "calendar:write", "finance:read", "finance:write"]
    token = session_of(server, key, "family-1", scopes, session="S-revoked")
    check("a session lives", client.ask("GET", "/api/v1/appointments", None, bearer(token))[0] == 200)
    check("and is ended", client.ask("POST", "/auth/logout", None, bearer(token))[0] == 200)
    before = rows(server)
    counts = {200: 0}
    for name, headers, expected in defects(key, scopes):
        for method, path, body, required in ROUTES:
            wanted = 200 if required is None else (200 if method == "GET" else 403) if expected == "cookie" else expected
            if required is None and isinstance(expected, tuple):
                wanted = (200, 431, 400)
            try:
                status, answer, text = client.ask(method, path, body, headers)
            except OSError as gone:
                status, answer, text = 0, [], str(gone)
            good = status in wanted if isinstance(wanted, tuple) else status == wanted
            check(f"{method} {path} with {name}: {wanted}", good, f"found {status} {text[:200]}")
            if status == 401:
                check(f"{method} {path} with {name}: says how", any(header == "WWW-Authenticate" and value.startswith("Bearer") for header, value in answer))
            if status == 200 and method == "POST" and required:
                counts[200] += 1
    after = rows(server)
    check("only what was allowed left rows", after - before == counts[200] + counts[200] // 3, f"{before} {after} {counts}")      # a booking leaves two
    check("no token is in the log", not any("eyJ" in line for line in server.log))
    client.close()


def rows(server):
    out = subprocess.run(["sqlite3", server.store[len("sqlite:"):], "SELECT (SELECT COUNT(*) FROM t_calendar_appointments) + (SELECT COUNT(*) FROM t_calendar_transactions)"],
                         stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    return int(out)


def test_times(server, key):
    """A revoked session is over in another process of the same store, too, and after a restart."""
    other = Server(FLOWD, server.folder, ["flows/18_authorization.flow"], store=server.store)
    try:
        here, there = Client(server), Client(other)
        token = session_of(server, key, "family-1", ["calendar:read"], session="S-shared")
        for client in (here, there):
            check("it is good here and there", client.ask("GET", "/api/v1/appointments", None, bearer(token))[0] == 200)
        namesake = session_of(server, key, "family-2", ["calendar:read"], session="S-shared")
        check("it ends", here.ask("POST", "/auth/logout", None, bearer(token))[0] == 200)
        check("here at once", here.ask("GET", "/api/v1/appointments", None, bearer(token))[0] == 401)
        until = time.monotonic() + 30
        while (status := there.ask("GET", "/api/v1/appointments", None, bearer(token))[0]) == 200 and time.monotonic() < until:
            time.sleep(0.05)
        check("there soon", status == 401, str(status))
        check("the session of that name of another tenant lives", there.ask("GET", "/api/v1/appointments", None, bearer(namesake))[0] == 200)
        jwks = json.loads(here.ask("GET", "/.well-known/jwks.json")[2])
        check("the public key is published, and it alone", [set(item) & {"d", "k"} for item in jwks["keys"]] == [set()] and jwks["keys"][0]["kid"] == key.kid)
        here.close(), there.close()
    finally:
        check("the other process ends", other.close() == 0)


def test_token_command(server, key):
    """What `flowd token` makes is taken, with what it was told and nothing more."""
    client = Client(server)

    def token(*arguments):
        return subprocess.run([FLOWD, "token", *arguments], env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    made = token("--user", "anna", "--tenant", "family-9", "--scopes", "calendar:read,finance:write", "--scopes", "x:y", "--roles", "USER", "--ttl", "10m", "--email", "a@b.c", "--device", "d1")
    said = jose.payload_of(made.stdout)
    check("it is printed alone", made.returncode == 0 and made.stdout.count("\n") == 1 and made.stderr == "")
    check("it says what it was told", (said["sub"], said["tenant_id"], said["scopes"], said["roles"], said["email"], said["device_id"], said["exp"] - said["iat"])
          == ("anna", "family-9", ["calendar:read", "finance:write", "x:y"], ["USER"], "a@b.c", "d1", 600), str(said))
    check("it is taken", client.ask("GET", "/api/v1/appointments", None, bearer(made.stdout.strip()))[0] == 200)
    check("for its scopes alone", client.ask("POST", "/api/v1/appointments", APPOINTMENT, bearer(made.stdout.strip()))[0] == 403)
    check("it can be ended", client.ask("POST", "/auth/logout", None, bearer(made.stdout.strip()))[0] == 200
          and client.ask("GET", "/api/v1/appointments", None, bearer(made.stdout.strip()))[0] == 401)
    bare = token("--user", "anna", "--tenant", "family-9").stdout.strip()
    check("without scopes it opens nothing", client.ask("GET", "/api/v1/appointments", None, bearer(bare))[0] == 403)
    for arguments, words in ((["--tenant", "t"], "--user U"), (["--user", "a", "--tenant", "t", "--ttl", "31d"], "30 days"), (["--user", "a", "--tenant", "t", "--ttl", "soon"], "--ttl"),
                             (["--user", "a", "--tenant", "public"], "tenant"), (["--user", "a\nb", "--tenant", "t"], "control characters"), (["--user", "a", "--tenant", "t", "--keys", "/dev/null"], "cannot")):
        refused = token(*arguments)
        check(f"{arguments}: usage", refused.returncode == 2 and refused.stdout == "" and words in refused.stderr, f"{refused.returncode} {refused.stderr}")
    elsewhere = subprocess.run([FLOWD, "token", "--user", "anna", "--tenant", "family-9", "--scopes", "admin:all", "--keys", os.path.join(server.folder, "other.json")], env=server.environment,
                               stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
    check("one of another key is worth nothing", client.ask("GET", "/api/v1/appointments", None, bearer(elsewhere))[0] == 401)
    check("keys are their owner's alone", os.stat(os.path.join(server.folder, "other.json")).st_mode & 0o777 == 0o600)
    client.close()


def test_store(store, tests):
    with tempfile.TemporaryDirectory(prefix="flow-authorization-") as folder:
        server = Server(FLOWD, folder, ["flows/18_authorization.flow"], store=store)
        try:
            with open(server.keys) as file:
                jwk = json.load(file)["keys"][0]
            key = jose.Key(jwk["kid"], jwk)
            check("the key's public half is what it says", key.jwk()["x"] == jwk["x"] and key.jwk()["y"] == jwk["y"])
            for test in tests:
                test(server, key)
        finally:
            check("it ends", server.close() == 0)


def test_foreign_issuer():
    """Access tokens of one other issuer, whose keys are at a URL: taken as they are, under its own pins; denied while its keys cannot be had."""
    issuer = providers.Provider()
    issuer.fault = "jwks 500"
    with tempfile.TemporaryDirectory(prefix="flow-foreign-") as folder:
        server = Server(FLOWD, folder, ["flows/18_authorization.flow"], {"FLOW_TRUST_ISSUER": issuer.url, "FLOW_TRUST_AUDIENCE": "flow", "FLOW_TRUST_ALG": "ES256", "FLOW_TRUST_KEYS": issuer.url + "/jwks"})
        try:
            client = Client(server)
            with open(server.keys) as file:
                jwk = json.load(file)["keys"][0]
            own, key = jose.Key(jwk["kid"], jwk), issuer.keys[0]

            def ask(signer, typ="at+jwt", **changes):
                what = claims("acme", "bob", scopes=["calendar:read"], **{"iss": issuer.url, "aud": "flow", "session_id": ..., "user_id": ..., **changes})
                status, headers, text = client.ask("GET", "/api/v1/appointments", None, bearer(jose.es256(signer, what, typ=typ)))
                return status, dict(headers), text
            status, headers, text = ask(key)
            check("without its keys nobody is let in, and told to come back", status == 503 and "Retry-After" in headers and "eyJ" not in text, f"{status} {text}")
            check("our own tokens are good meanwhile", client.ask("GET", "/api/v1/appointments", None, bearer(session_of(server, own, "family-1", ["calendar:read"])))[0] == 200)
            issuer.fault = ""
            until = time.monotonic() + 60
            while (status := ask(key)[0]) == 503 and time.monotonic() < until:
                time.sleep(0.2)
            check("with them its token is good", status == 200, str(status))
            for name, found in (("our key in its name", ask(own)), ("another key", ask(jose.Key(key.kid))), ("our audience", ask(key, aud="fidus-api")), ("an ID token", ask(key, typ="JWT")),
                                ("its key in our name", ask(key, iss="https://fidus.ai", aud="fidus-api", session_id="S")), ("no tenant", ask(key, tenant_id=...))):
                check(f"{name}: 401", found[0] == 401, str(found[0]))
            check("its scopes count", client.ask("POST", "/api/v1/appointments", APPOINTMENT, bearer(jose.es256(key, claims("acme", "bob", iss=issuer.url, aud="flow", scopes=["calendar:read"]), typ="at+jwt")))[0] == 403)
            asked = issuer.seen["/jwks"]
            check("unknown keys are refused", all(ask(jose.Key(f"unknown-{number}"))[0] == 401 for number in range(20)))
            check("and cost the issuer one request at most", issuer.seen["/jwks"] <= asked + 1, f"{asked} {issuer.seen}")
            client.close()
        finally:
            check("it ends", server.close() == 0)
            issuer.close()


def main():
    test_foreign_issuer()
    test_store(None, (test_roles, test_defects, test_times, test_token_command))
    postgres = os.environ.get("FLOW_TEST_POSTGRES")
    if postgres:
        test_store(f"{postgres}&schema=authorization_{os.getpid()}", (test_roles, test_times))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())

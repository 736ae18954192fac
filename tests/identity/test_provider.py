#!/usr/bin/env python3
"""test_provider.py - flow 17 in a browser: npm's oidc-provider, flowd serve, and a client that follows redirects and keeps cookies. Usage: test_provider.py BUILD"""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import jose  # noqa: E402
from server import Client, Server  # noqa: E402

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
FLOWD = os.path.join(BUILD, "flowd")
SECRET, REDIRECT = "a-secret-of-the-client-0123456789", "http://127.0.0.1:1/auth/callback"
passed, failed = 0, 0


def check(name, good, more=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"  FAIL {name} {more}")


def installed():
    """The packages of the lock file, in the build folder; again only when it changed."""
    folder = os.path.abspath(os.path.join(BUILD, "tests", "identity"))
    lock = open(os.path.join(HERE, "package-lock.json")).read()
    stamp = os.path.join(folder, "installed")
    if not os.path.exists(stamp) or open(stamp).read() != lock:
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=folder, check=True, timeout=300)
        with open(stamp, "w") as file:
            file.write(lock)
    return folder


class Browser:
    """Cookies by host and name; each request by itself."""

    def __init__(self):
        self.cookies = {}

    def ask(self, method, url, body=None, headers=()):
        where = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(where.netloc, timeout=60)
        jar = self.cookies.setdefault(where.netloc, {})
        lines = dict(headers)
        if jar:
            lines["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if body is not None:
            lines["Content-Type"] = "application/json"
        connection.request(method, where.path + ("?" + where.query if where.query else ""), None if body is None else json.dumps(body), lines)
        answer = connection.getresponse()
        text = answer.read().decode()
        self.set = answer.headers.get_all("Set-Cookie") or []
        for line in self.set:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            jar[name] = value
            gone = any(attribute.lower() in ("max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt") for attribute in attributes)
            if gone or not value:
                del jar[name]
        connection.close()
        return answer.status, answer.headers, text

    def follow(self, url, until):
        """GETs and follows redirects until one leads to an address that begins so; that address."""
        for _ in range(12):
            status, headers, text = self.ask("GET", url)
            if status not in (302, 303):
                raise AssertionError(f"{status} at {url}: {text[:300]}")
            url = urllib.parse.urljoin(url, headers["Location"])
            if url.startswith(until):
                return url
        raise AssertionError("too many redirects")


def log_in(browser, site):
    back = browser.follow(site + "/auth/login", REDIRECT)
    return browser.ask("GET", site + "/auth/callback?" + urllib.parse.urlsplit(back).query), back


def test_login(server, site, issuer):
    browser = Browser()
    check("without a session it is refused", browser.ask("GET", site + "/api/v1/appointments")[0] == 401)
    (status, headers, text), back = log_in(browser, site)
    check("the login sends to the dashboard", status == 303 and headers["Location"] == "/", f"{status} {text}")
    check("nobody keeps it", headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer")
    cookie = next((line for line in browser.set if line.startswith("fidus_session=")), "")
    check("the cookie is as documented", all(word in cookie.split("; ") for word in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/")) and 0 < int(cookie.split("Max-Age=")[1]) <= 86400, cookie.split(";", 1)[-1])
    body = json.loads(text)
    check("the token is in the cookie alone", "eyJ" not in text and "set_session" not in body)
    token = browser.cookies[server.host]["fidus_session"]
    claims = jose.payload_of(token)
    check("the token has the documented claims", set(claims) == {"iss", "sub", "aud", "exp", "iat", "tenant_id", "user_id", "email", "roles", "scopes", "session_id"}, str(sorted(claims)))
    check("and values", claims["iss"] == "https://fidus.ai" and claims["aud"] == "fidus-api" and claims["exp"] - claims["iat"] == 86400 and claims["sub"] == claims["user_id"] == body["user"]["id"]
          and claims["email"] == "anna@example.com" and claims["roles"] == ["USER"] and "calendar:read" in claims["scopes"] and "admin:all" not in claims["scopes"], str(claims))
    check("the cookie opens the door", browser.ask("GET", site + "/api/v1/appointments")[0] == 200)
    appointment = {"title": "Dentist", "start": "2025-11-10T09:00:00Z"}
    check("but not for another page", browser.ask("POST", site + "/api/v1/appointments", appointment, {"Origin": "https://evil.example"})[0] == 403)
    check("nor for one that does not say who it is", browser.ask("POST", site + "/api/v1/appointments", appointment)[0] == 403)
    check("for our own it does", browser.ask("POST", site + "/api/v1/appointments", appointment, {"Origin": site})[0] == 200)
    check("a replayed answer is denied", browser.ask("GET", site + "/auth/callback?" + urllib.parse.urlsplit(back).query)[0] == 403)
    again = Browser()
    (status, _, text), _ = log_in(again, site)
    check("a second login is the same user in another session", status == 303 and json.loads(text)["user"]["id"] == body["user"]["id"]
          and jose.payload_of(again.cookies[server.host]["fidus_session"])["session_id"] != claims["session_id"])
    check("which sees the same rows", len(json.loads(again.ask("GET", site + "/api/v1/appointments")[2])) == 1)
    check("logout from another page is denied", browser.ask("POST", site + "/auth/logout", None, {"Origin": "https://evil.example"})[0] == 403)
    check("logout", browser.ask("POST", site + "/auth/logout", None, {"Origin": site})[0] == 200)
    check("takes the cookie away", "fidus_session" not in browser.cookies[server.host])
    check("and the token is worth nothing", Client(server).ask("GET", "/api/v1/appointments", None, [("Authorization", "Bearer " + token)])[0] == 401)
    check("the other session lives", again.ask("GET", site + "/api/v1/appointments")[0] == 200)


def test_strangers(server, site, issuer):
    victim, attacker = Browser(), Browser()
    back = attacker.follow(site + "/auth/login", REDIRECT)
    query = urllib.parse.urlsplit(back).query
    status = victim.ask("GET", site + "/auth/callback?" + query)[0]
    check("a login that an attacker began does not end in the victim's browser", status == 403 and "fidus_session" not in victim.cookies.get(server.host, {}), str(status))
    back = victim.follow(site + "/auth/login", REDIRECT)
    fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
    check("the provider names itself", fields.get("iss") == issuer, str(fields))
    for change in ({"state": "x" * 43}, {"state": ""}, {"code": "nonsense"}, {"iss": "https://evil.example"}):
        back = victim.follow(site + "/auth/login", REDIRECT)
        fields = {**dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query)), **change}
        status = victim.ask("GET", site + "/auth/callback?" + urllib.parse.urlencode(fields))[0]
        check(f"{change}: denied", status in (400, 403), str(status))
    back = victim.follow(site + "/auth/login", REDIRECT)
    fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
    status, headers, _ = victim.ask("POST", site + "/auth/callback", fields, {"Origin": site})
    check("and is logged in", status in (200, 303) and "fidus_session" in victim.cookies[server.host], str(status))


def test_store(issuer, store):
    with tempfile.TemporaryDirectory(prefix="flow-provider-") as folder:
        server = Server(FLOWD, folder, ["flows/17_login.flow", "flows/18_authorization.flow"],
                        {"FLOW_OIDC_ISSUER": issuer, "FLOW_OIDC_CLIENT_ID": "flow", "FLOW_OIDC_CLIENT_SECRET": SECRET, "FLOW_OIDC_REDIRECT": REDIRECT}, store)
        try:
            for test in (test_login, test_strangers):
                test(server, "http://" + server.host, issuer)
            check("neither tokens, codes nor states are in the log", not any(word in line for line in server.log for word in ("eyJ", "code=", "state=")))
        finally:
            check("it ends", server.close() == 0)


def main():
    node = subprocess.Popen(["node", os.path.join(HERE, "real_provider.mjs"), installed()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            env={**os.environ, "SECRET": SECRET, "REDIRECT": REDIRECT})
    try:
        issuer = node.stdout.readline().strip()
        postgres = os.environ.get("FLOW_TEST_POSTGRES")
        for store in [None] + ([f"{postgres}&schema=provider_{os.getpid()}"] if postgres else []):
            test_store(issuer, store)
    finally:
        node.stdin.close()
        node.wait(30)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())

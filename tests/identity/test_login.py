#!/usr/bin/env python3
"""test_login.py - flow 17 at a provider that is right, and wrong in one way at a time. Each login is two runs of flowd: the way there and the way back."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import provider as providers  # noqa: E402

FLOWD = os.path.join(sys.argv[1] if len(sys.argv) > 1 else "build", "flowd")
FLOW = "flows/17_login.flow"
passed, failed = 0, 0


def check(name, good, more=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"  FAIL {name} {more}")


class Site:
    """A provider, and a deployment of flow 17 that knows it."""

    def __init__(self, folder, fault=""):
        self.provider = providers.Provider()
        self.provider.fault = fault
        self.folder = tempfile.mkdtemp(dir=folder)
        self.store = "sqlite:" + os.path.join(self.folder, "flow.db")
        self.environment = dict(os.environ, FLOW_KEYS=os.path.join(self.folder, "keys.json"), FLOW_OIDC_ISSUER=self.provider.url, FLOW_OIDC_CLIENT_ID=providers.CLIENT,
                                FLOW_OIDC_CLIENT_SECRET=providers.SECRET, FLOW_OIDC_REDIRECT="http://127.0.0.1:1/auth/callback", FLOW_OIDC_ALG="ES256", XDG_STATE_HOME=self.folder)
        for name in ("FLOW_STORE", "FLOW_REDIS", "FLOW_AS"):
            self.environment.pop(name, None)

    def close(self):
        self.provider.close()

    def run(self, flow, values, visitor="visitor-1", **environment):
        done = subprocess.run([FLOWD, "run", FLOW, flow, "--json", "--store", self.store, "--as", visitor + "@public", "--input", json.dumps(values)],
                              env={**self.environment, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=90)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"status": "none", "code": done.returncode, "error": {"kind": "none", "message": done.stderr}}

    def begin(self, visitor="visitor-1"):
        """What the provider sends the browser back with; None when the way there failed."""
        run = self.run("begin_login", {}, visitor)
        if run["status"] != "completed":
            assert self.provider.fault, f"the way there failed: {run}"
            return None, run
        where = urllib.parse.urlsplit(run["result"]["redirect"])
        connection = http.client.HTTPConnection(where.netloc, timeout=30)
        connection.request("GET", where.path + "?" + where.query)
        back = connection.getresponse().getheader("Location")
        connection.close()
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query)), run

    def login(self, visitor="visitor-1", **more):
        back, run = self.begin(visitor)
        return self.run("finish_login", {**back, **more}, visitor) if back else run

    def rows(self, *queries):
        with contextlib.closing(sqlite3.connect(self.store[len("sqlite:"):], timeout=30)) as store:
            users = store.execute("SELECT name FROM flow_tables WHERE table_name = 'users'").fetchone()[0]
            return [value for query in queries for row in store.execute(query.replace("FROM users", f'FROM "{users}"')) for value in row]

    def write(self, statement):
        with contextlib.closing(sqlite3.connect(self.store[len("sqlite:"):], timeout=30)) as store:
            store.execute(statement)
            store.commit()


def outcome(run):
    return run["status"] if run["status"] == "completed" else run.get("error", {}).get("kind", run["status"])


# What a provider may do wrong, and what becomes of the login. None of them makes a user or a session.
FAULTS = [
    ("another issuer", "denied"), ("another audience", "denied"), ("audience among others without azp", "denied"), ("azp of somebody else", "denied"), ("another nonce", "denied"),
    ("nonce of another type", "denied"), ("expired", "denied"), ("issued in the future", "denied"), ("not valid yet", "denied"), ("no subject", "denied"), ("subject that is no text", "denied"),
    ("address with a line break", "denied"), ("address not verified", "denied"), ("address said to be verified", "denied"), ("no nonce", "denied"), ("no exp", "denied"), ("no iat", "denied"),
    ("no aud", "denied"), ("no iss", "denied"), ("no sub", "denied"), ("no email", "denied"), ("alg none", "denied"), ("signed with the client's secret", "denied"),
    ("signed with the public key as a secret", "denied"), ("another key under the same name", "denied"), ("a key of its own in the header", "denied"), ("a critical header", "denied"),
    ("an access token", "denied"), ("a claim twice", "denied"), ("signature cut short", "denied"), ("no ID token", "denied"), ("token is no JSON", "denied"), ("token huge", "denied"),
    ("token 500", "unavailable"), ("jwks 500", "unavailable"), ("discovery 500", "unavailable"), ("discovery of another issuer", "unavailable"),
    ("endpoint elsewhere without TLS", "unavailable"), ("endpoint that is no URL", "unavailable"), ("discovery with a key twice", "unavailable"), ("says its issuer", "denied"),
]
# and what looks unusual and is right
FINE = ["", "secret in the body", "two audiences and azp"]


def one_fault(folder, fault, expected):
    site = Site(folder, fault)
    try:
        run = site.login()
        made = site.rows("SELECT COUNT(*) FROM flow_auth_sessions", "SELECT COUNT(*) FROM flow_auth_logins")
        users = site.rows("SELECT COUNT(*) FROM users")
        asked = site.provider.seen.get("/token", 0)
        return fault, expected, outcome(run), run, made, users, asked
    finally:
        site.close()


def check_fault(fault, expected, found, run, made, users, asked):
    check(f"{fault}: {expected}", found == expected, f"found {found}: {run.get('error')}")
    check(f"{fault}: no session", made[0] == 0 and users == [0], f"{made} {users}")
    check(f"{fault}: the code is given at most once", asked <= 1, str(asked))


def test_faults(folder):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda case: one_fault(folder, *case), FAULTS):
            check_fault(*result)
        for fault, _, found, run, made, users, asked in pool.map(lambda fault: one_fault(folder, fault, "completed"), FINE):
            check(f"`{fault}` is right", found == "completed" and made == [1, 0] and users == [1] and asked == 1, f"{run} {made}")


def test_states(folder):
    site = Site(folder)
    try:
        back, _ = site.begin()
        run = site.run("finish_login", {**back, "state": back["state"][:-1] + "_"})
        check("a wrong state is denied", outcome(run) == "denied")
        run = site.run("finish_login", back, visitor="visitor-2")
        check("another browser cannot end a login", outcome(run) == "denied", str(run))
        check("the provider heard nothing of it", "/token" not in site.provider.seen)
        run = site.run("finish_login", back)
        check("and has used its state up", outcome(run) == "denied")
        back, _ = site.begin()
        run = site.run("finish_login", {**back, "iss": "https://evil.example"})
        check("the answer of another provider is denied, its code not given to ours", outcome(run) == "denied" and "/token" not in site.provider.seen, str(run))
        back, _ = site.begin()
        run = site.run("finish_login", {**back, "iss": site.provider.url})
        check("with the right one it completes", outcome(run) == "completed", str(run))
        check("a replayed code is denied", outcome(site.run("finish_login", back)) == "denied")
        check("without asking the provider", site.provider.seen["/token"] == 1)
        back, _ = site.begin()
        run = site.run("finish_login", {"state": back["state"], "error": "access_denied"})
        check("who is refused by the provider hears it", outcome(run) == "denied" and "access_denied" in run["error"]["message"], str(run))
        check("a code of nonsense is denied", outcome(site.run("finish_login", {"state": back["state"], "code": "x"})) == "denied")
        back, _ = site.begin()
        check("a code of 3000 bytes is invalid", outcome(site.run("finish_login", {"state": back["state"], "code": "x" * 3000})) == "invalid")
        secrets = [back["code"], back["state"]]
        site.run("finish_login", back)
        text = open(site.store[len("sqlite:"):], "rb").read()
        shown = subprocess.run([FLOWD, "ps", "--all", "--json", "--store", site.store, "--as", "x@public"], env=site.environment, stdout=subprocess.PIPE, text=True, timeout=60).stdout
        check("neither code nor state is shown", not any(secret in shown for secret in secrets))
        check("no session token is in the store", b"eyJhbGci" not in text)
    finally:
        site.close()


def test_users(folder):
    site = Site(folder)
    try:
        first, again = site.login(), site.login()
        check("a second login is the same user and tenant", first["result"]["user"] == again["result"]["user"], f"{first} {again}")
        check("in a session of its own", first["result"]["set_session"] != again["result"]["set_session"])
        site.provider.person["sub"] = "auth0|2"
        linked = site.login()
        check("the same verified address is the same user", linked["result"]["user"]["id"] == first["result"]["user"]["id"])
        site.provider.person = {"sub": "auth0|3", "email": "bob@example.com", "email_verified": True}
        other = site.login()
        check("somebody else is somebody else, in a tenant of his own", other["result"]["user"]["tenant"] != first["result"]["user"]["tenant"] and other["status"] == "completed", str(other))
        site.provider.keys = [providers.jose.Key("k2")]
        check("a new key of the provider is fetched", outcome(site.login()) == "completed")
    finally:
        site.close()


def one_crash(folder, number, side):
    site = Site(folder)
    try:
        back, _ = site.begin()
        run = site.run("finish_login", back, FLOW_CRASH_AT=f"{number}:{side}")
        crashed = run["status"] == "none" and run["code"] < 0
        if crashed:                                            # as if the lease of the process that is gone had ended
            site.write("UPDATE flow_runs SET lease_until_us = 0")
            subprocess.run([FLOWD, "resume", "--store", site.store, "--as", "visitor-1@public"], env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        states = site.rows("SELECT status FROM flow_runs WHERE func_name = 'finish_login'")
        results = "".join(site.rows("SELECT result_json FROM flow_runs WHERE func_name = 'finish_login'"))
        return number, side, crashed, run, states, results, site.provider.seen.get("/token", 0), site.rows("SELECT COUNT(*) FROM users")[0], site.rows("SELECT COUNT(*) FROM flow_auth_sessions")[0]
    finally:
        site.close()


def test_crashes(folder):
    """A crash before and after each durable operation of the way back: no code is exchanged twice, and whoever resumes hears what nobody can know."""
    points = [(number, side) for number in range(1, 16) for side in ("before", "after")]
    doubts = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for number, side, crashed, run, states, results, asked, users, sessions in pool.map(lambda point: one_crash(folder, *point), points):
            if not crashed:
                check(f"{number} {side}: behind the last operation it completes", run["status"] == "completed" and number > 5, str(run))
                continue
            check(f"{number} {side}: one code, at most one exchange", asked <= 1)
            check(f"{number} {side}: the run ends, unless it never began", all(state >= 3 for state in states), str(states))
            check(f"{number} {side}: at most one user, one session", users <= 1 and sessions <= 1)
            check(f"{number} {side}: completed, in doubt, or never begun", not states or "set_session" in results or "in_doubt" in results, results)
            doubts += "in_doubt" in results
    check("an exchange that was under way is in doubt", doubts > 0)


def main():
    with tempfile.TemporaryDirectory(prefix="flow-login-") as folder:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slow = pool.submit(one_fault, folder, "token hangs", "unavailable")          # waits for OIDC_TIMEOUT_US, meanwhile the others go
            for test in (test_faults, test_states, test_users, test_crashes):
                test(folder)
            check_fault(*slow.result())
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())

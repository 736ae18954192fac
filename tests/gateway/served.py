"""flowd serve as a test sees it: processes on a store of their own, requests over real sockets, event-streams, tokens."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "durable"))
from services import PostgresStore, SqliteStore

STRIPE_SECRET = "whsec_of_the_gateway_tests"
SECRET = base64.urlsafe_b64encode(b"a key of the gateway's own tests").rstrip(b"=").decode()
KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "test", "alg": "HS256", "use": "sig", "k": SECRET}]})
TIMEOUT = 60


def until(what, condition, seconds=TIMEOUT):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "waited %d s until %s" % (seconds, what)
        time.sleep(0.02)


def same(found, wanted, what=""):
    assert found == wanted, "%sexpected %r, found %r" % (what and what + ": ", wanted, found)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user="anna", tenant="family-1", scopes=(), head=None, secret=SECRET, **claims):
    """A session token as flowd makes them, or one with other claims: None takes a claim away."""
    now = int(time.time())
    body = {"iss": "https://fidus.ai", "aud": "fidus-api", "sub": user, "user_id": user, "tenant_id": tenant, "session_id": "S-" + user, "scopes": list(scopes), "roles": [],
            "iat": now, "nbf": now, "exp": now + 3600}
    body.update(claims)
    body = {k: v for k, v in body.items() if v is not None}
    signed = "%s.%s" % (b64(json.dumps(dict({"alg": "HS256", "typ": "at+jwt", "kid": "test"}, **(head or {}))).encode()), b64(json.dumps(body).encode()))
    key = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    return "%s.%s" % (signed, b64(hmac.new(key, signed.encode(), hashlib.sha256).digest()))


def stripe_signature(body, secret=STRIPE_SECRET, at=None):
    at = int(time.time()) if at is None else at
    return "t=%d,v1=%s" % (at, hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Stream:
    """One event-stream: `next` is the next event as (id, name, data)."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response

    def next(self):
        event = {"id": "", "event": "", "data": []}
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n").rstrip("\r")
            if line.startswith(":"):
                continue
            if not line:
                if event["data"]:
                    return event["id"], event["event"], json.loads("\n".join(event["data"]))
                continue
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if name == "data":
                event["data"].append(value)
            elif name in event:
                event[name] = value

    def rest(self):
        events = []
        while True:
            event = self.next()
            if event is None:
                return events
            events.append(event)

    def close(self):
        try:
            self.response.close()
        finally:
            self.connection.close()


class Served:
    """One process of flowd serve."""

    def __init__(self, build, env, files, options=()):
        self.lines = []
        self.process = subprocess.Popen([os.path.join(build, "flowd"), "serve", "--listen", "127.0.0.1:0", *options, *files], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.port = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        until("flowd serve listens", lambda: self.port or self.process.poll() is not None)
        assert self.port, "flowd serve ended:\n" + "".join(self.lines)

    def read(self):
        for line in self.process.stderr:
            line = line.decode()
            self.lines.append(line)
            if '"event":"listening"' in line:
                self.port = json.loads(line)["port"]

    def open(self, method, path, body=None, token=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        if token:
            given["Authorization"] = "Bearer " + token
        given.update(headers or {})
        connection.request(method, path, data, given)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, token=None, headers=None, want=None):
        connection, response = self.open(method, path, body, token, headers)
        try:
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()
        assert want is None or answer.status == want, "%s %s: %d, expected %d: %s" % (method, path, answer.status, want, answer.body.decode())
        return answer

    def stream(self, method, path, body=None, token=None, headers=None):
        connection, response = self.open(method, path, body, token, headers)
        assert response.status == 200, "%s %s: %d %s" % (method, path, response.status, response.read().decode())
        same(response.getheader("Content-Type").split(";")[0], "text/event-stream")
        stream = Stream(connection, response)
        stream.location = response.getheader("Content-Location")
        return stream

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError("it does not end:\n" + "".join(self.lines[-20:]))
        self.reader.join(timeout=TIMEOUT)
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return [json.loads(line) for line in self.lines if line.startswith("{")]


class World:
    """A store, and whatever processes a test starts on it."""

    def __init__(self, build, services, postgres, files, **env):
        self.build, self.files = build, files
        self.store = PostgresStore(services) if postgres else SqliteStore()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLOW_") or k == "FLOW_STDLIB"}
        self.env.update(self.store.env, FLOW_KEYS_JSON=KEYS, STRIPE_WEBHOOK_SECRET=STRIPE_SECRET, **env)
        self.running = []
        self.server = self.start()

    def start(self, *options, **env):
        server = Served(self.build, dict(self.env, **env), self.files, options)
        self.running.append(server)
        return server

    def flowd(self, *args):
        done = subprocess.run([os.path.join(self.build, "flowd"), *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def close(self):
        for server in self.running:
            server.kill()
        self.store.close()

"""flowd serve on a port of its own, tokens for it, and a reader of event-streams. For tests of processes."""
import copy
import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("it did not come to: " + what)
        time.sleep(0.02)


def same(found, wanted, what=""):
    assert found == wanted, "%s: expected %r, found %r" % (what, wanted, found)


serial = itertools.count()


def servers():
    """Where to keep things, for a test on PostgreSQL and Redis: a schema that nobody else uses."""
    number = next(serial)
    return {"FLOW_STORE": "%s&schema=streams_%d_%d" % (os.environ["FLOW_TEST_POSTGRES"], os.getpid(), number), "FLOW_REDIS": "%s?db=%d" % (os.environ["FLOW_TEST_REDIS"], 1 + number % 15)}


class Served:
    def __init__(self, build, *programs, **environment):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="flow_served_")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOW_") or k == "FLOW_STDLIB"}
        self.environment = dict(clean, FLOW_STORE="sqlite:" + os.path.join(self.folder, "flow.db"), FLOW_KEYS=os.path.join(self.folder, "keys.json"))
        self.environment.update(environment)
        self.programs = programs
        self.tokens = {}
        self.token("anna", "test")                         # makes the keys
        if self.environment["FLOW_STORE"].startswith("postgres"):
            done = self.flowd("migrate")
            assert done.returncode == 0, done.stderr
        self.start()

    def start(self, log="log", port=0):
        self.log_path = os.path.join(self.folder, log)
        self.process = subprocess.Popen([os.path.join(self.build, "flowd"), "serve", "--listen", "127.0.0.1:%d" % port, "--lease", "2s"] + list(self.programs), env=self.environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.log_path, "wb"))
        self.port = until(self.listening, "a process that listens")

    def beside(self):
        """Another process on the same store; to be stopped."""
        other = copy.copy(self)
        other.start("log-of-another")
        return other

    def log(self):
        return open(self.log_path, encoding="utf-8").read()

    def listening(self):
        assert self.process.poll() is None, self.log()
        for line in self.log().splitlines():
            if '"listening"' in line:
                return json.loads(line)["port"]
        return None

    def flowd(self, *args):
        return subprocess.run([os.path.join(self.build, "flowd")] + list(args), env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, universal_newlines=True)

    def token(self, user, tenant, scopes=""):
        key = (user, tenant, scopes)
        if key not in self.tokens:
            done = self.flowd("token", "--user", user, "--tenant", tenant, *(["--scopes", scopes] if scopes else []))
            assert done.returncode == 0, done.stderr
            self.tokens[key] = done.stdout.strip()
        return self.tokens[key]

    def connect(self, method, path, token, body=None, headers=None, timeout=60):
        """The connection and the response whose head has come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        head = dict(headers or {}, Authorization="Bearer " + token)
        if body is not None:
            head["Content-Type"] = "application/json"
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=head)
        return connection, connection.getresponse()

    def ask(self, method, path, token, body=None, headers=None):
        connection, response = self.connect(method, path, token, body, headers)
        data = response.read()
        connection.close()
        return response.status, json.loads(data) if data else None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Events:
    """The events of a stream, one by one: (id, event, data as parsed)."""

    def __init__(self, connection, response):
        assert response.status == 200, (response.status, response.read())
        same(response.getheader("Content-Type").split(";")[0], "text/event-stream")
        self.connection, self.response = connection, response
        self.run = response.getheader("Flow-Run")
        self.last_id = ""

    def next(self):
        """None at the end."""
        name, data = "message", []
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n").rstrip("\r")
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if not line and data:
                return self.last_id, name, json.loads("\n".join(data))
            if field == "id":
                self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)

    def until(self, wanted):
        """Reads up to the first event for which wanted(name, data) is true; all of them, it included."""
        found = []
        while True:
            event = self.next()
            assert event, "the stream ended after %s" % found
            found.append(event)
            if wanted(event[1], event[2]):
                return found

    def rest(self):
        return list(iter(self.next, None))

    def close(self):
        self.response.close()
        self.connection.close()


def texts_of(events):
    """What a client that follows the rules shows: parts of text, in their order."""
    parts = {}
    for _, name, data in events:
        if name == "text":
            parts[data["part"]] = data["text"] if data.get("replace") else parts.get(data["part"], "") + data["text"]
    return [parts[part] for part in sorted(parts)]


def run_tests(tests, make, at_once=4):
    """Some at a time: they wait for time limits more than they work. Each makes its worlds with the function it is given. The exit code."""

    def attempt(test):
        worlds = []

        def world_of(*args, **more):
            worlds.append(make(*args, **more))
            return worlds[-1]

        try:
            test(world_of)
            return True, "  ok %s" % test.__name__
        except (AssertionError, subprocess.TimeoutExpired, ValueError, OSError, KeyError, http.client.HTTPException) as problem:
            return False, "\n".join(["!! %s: %r" % (test.__name__, problem)] + [world.log()[-2000:] for world in worlds])
        finally:
            for world in worlds:
                world.close()

    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(attempt, tests))
    for _, text in found:
        print(text)
    passed = sum(ok for ok, _ in found)
    print("%d passed, %d failed" % (passed, len(found) - passed))
    return 0 if passed == len(found) else 1

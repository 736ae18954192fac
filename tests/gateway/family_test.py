#!/usr/bin/env python3
"""Flow 19 over HTTP, with tokens: who asks x whose row x its visibility x what is tried, and whether the answer tells of what it must not.

What is expected of a cell is computed here, from the rule alone. What is hidden is compared, word by word, with what is not there.
Usage: family_test.py BUILD [STORE]        closes with `N passed, N failed`; without STORE on SQLite, and on FLOW_TEST_POSTGRES when it is set
"""
import json
import os
import re
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "identity"))
import jose  # noqa: E402
from server import Client, Server  # noqa: E402

FLOWD = os.path.join(sys.argv[1] if len(sys.argv) > 1 else "build", "flowd")
FAMILY, OTHER = "family-123", "family-999"
# user: tenant, role among the members (None: not one of them)
USERS = {"parent-456": (FAMILY, "PARENT"), "parent-457": (FAMILY, "PARENT"), "child-789": (FAMILY, "CHILD"), "lodger-1": (FAMILY, None), "neighbour-1": (OTHER, "PARENT")}
OWNERS = ["parent-456", "child-789"]
START, LATER = "2025-11-10T18:00:00Z", "2025-11-10T19:00:00Z"
passed, failed = 0, 0


def check(name, good, more=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("  FAIL %s %s" % (name, more))


def may_read(user, owner, visibility):
    tenant, role = USERS[user]
    return tenant == FAMILY and (user == owner or visibility == "PUBLIC" or (visibility == "FAMILY" and role is not None))


def may_write(user, owner, visibility):
    return user == owner or (may_read(user, owner, visibility) and visibility != "PRIVATE" and USERS[user][1] == "PARENT")


class Family:
    def __init__(self, server):
        with open(server.keys) as file:
            jwk = json.load(file)["keys"][0]
        self.key, self.client, self.tokens = jose.Key(jwk["kid"], jwk), Client(server), {}

    def token(self, user):
        if user not in self.tokens:
            now = int(time.time())
            claims = {"iss": "https://fidus.ai", "sub": user, "aud": "fidus-api", "exp": now + 3600, "iat": now, "tenant_id": USERS[user][0], "user_id": user, "email": user + "@example.com",
                      "roles": [], "scopes": ["calendar:read", "calendar:write", "family:manage"], "session_id": "S-" + user}
            self.tokens[user] = jose.es256(self.key, claims, typ="at+jwt")
        return self.tokens[user]

    def ask(self, user, method, path, body=None):
        status, headers, text = self.client.ask(method, path, body, [("Authorization", "Bearer " + self.token(user))])
        return status, headers, text

    def add(self, owner, title, visibility):
        status, _, text = self.ask(owner, "POST", "/api/v1/appointments", {"title": title, "start": START, "visibility": visibility})
        assert status == 200, (status, text)
        return json.loads(text)["appointment_id"]

    def titles(self, user):
        return [row["title"] for row in json.loads(self.ask(user, "GET", "/api/v1/appointments")[2])]


def attempts(id):
    """name, method, path, body, status for: the owner, who may write, who may read, who may not see it"""
    yield "get", "GET", "/api/v1/appointments/" + id, None, (200, 200, 200, 404)
    yield "move", "PATCH", "/api/v1/appointments/" + id, {"start": LATER, "version": 1}, (200, 200, 403, 404)
    yield "move of an old version", "PATCH", "/api/v1/appointments/" + id, {"start": LATER, "version": 99}, (409, 409, 409, 404)
    yield "share", "PUT", "/api/v1/appointments/" + id + "/visibility", {"visibility": "PRIVATE"}, (200, 403, 403, 404)
    yield "delete", "DELETE", "/api/v1/appointments/" + id, None, (200, 200, 403, 404)


def try_all(family):
    for owner in OWNERS:
        for visibility in ("PRIVATE", "FAMILY", "PUBLIC"):
            for user in USERS:
                standing = 0 if user == owner else 1 if may_write(user, owner, visibility) else 2 if may_read(user, owner, visibility) else 3
                for index in range(len(list(attempts("")))):
                    title = "%s of %s before %s" % (visibility, owner, user)
                    id = family.add(owner, title, visibility)
                    name, method, path, body, statuses = list(attempts(id))[index]
                    status, _, text = family.ask(user, method, path, body)
                    check("%s of a %s row of %s by %s: %d" % (name, visibility, owner, user, statuses[standing]), status == statuses[standing], "found %d %s" % (status, text[:200]))
                    gone = name == "delete" and status == 200
                    left = [row for row in json.loads(family.ask(owner, "GET", "/api/v1/appointments")[2]) if row["id"] == id]
                    moved = name == "move" and status == 200
                    check("%s by %s: what is left of it" % (name, user), not left if gone else left and left[0]["start"] == (LATER if moved else START), str(left))
                    if not gone:
                        family.ask(owner, "DELETE", "/api/v1/appointments/" + id)


def nameless(answer, id):
    """An answer without what differs from one request to the next."""
    status, headers, text = answer
    text = re.sub(r"(request_id|instance|run|url)\":\"[^\"]*", r"\1", text.replace(id, "ID"))
    kept = sorted((name.lower(), value) for name, value in headers if name.lower() not in ("date", "x-request-id", "content-length", "flow-run"))
    return status, text, kept


def infer(family):
    """A child beside a parent's private rows, and the same child when they are gone."""
    hidden = family.add("parent-456", "Doctor", "PRIVATE")
    family.add("parent-456", "Family Dinner", "FAMILY")
    missing = re.sub(r"[0-9A-Z]{4}$", "0000", hidden)
    for user in ("child-789", "parent-457", "lodger-1", "neighbour-1"):
        for (name, method, path, body, _), (_, _, other, _, _) in zip(attempts(hidden), attempts(missing)):
            there, nowhere = family.ask(user, method, path, body), family.ask(user, method, other, body)
            check("%s by %s: a hidden row and no row are the same" % (name, user), nameless(there, hidden) == nameless(nowhere, missing), "%s\n%s" % (there, nowhere))
    questions = ["/api/v1/appointments", "/api/v1/appointments/search?text=Doctor", "/api/v1/appointments/search?text=o", "/api/v1/appointments/search?text=", "/api/v1/days/2025-11-10/appointments"]
    before = [family.ask("child-789", "GET", path)[2] for path in questions]
    check("the child sees the dinner", json.loads(before[0])[0]["title"] == "Family Dinner" and len(json.loads(before[0])) == 1, before[0])
    check("and finds no doctor", json.loads(before[1]) == {"found": 0, "next": None}, before[1])
    check("the parent sees both", family.titles("parent-456") == ["Doctor", "Family Dinner"] or family.titles("parent-456") == ["Family Dinner", "Doctor"])
    family.ask("parent-456", "DELETE", "/api/v1/appointments/" + hidden)
    check("a list, counts and searches are the same when the hidden row is gone", [family.ask("child-789", "GET", path)[2] for path in questions] == before)


def look_at_runs(family):
    """What a run was given stands in its journal: that is its user's."""
    family.add("parent-456", "Surgery", "PRIVATE")
    runs = json.loads(family.ask("parent-456", "GET", "/runs")[2])["runs"]
    check("a parent sees the own runs", runs)
    listed = family.ask("child-789", "GET", "/runs")[2]
    check("a child does not", not any(run["run"] in listed for run in runs) and "Surgery" not in listed)
    for path in ("", "/journal", "/trace", "/events"):
        status, _, text = family.ask("child-789", "GET", "/runs/" + runs[0]["run"] + path)
        check("nor one of them by its id, GET /runs/ID%s" % path, status == 404, "%d %s" % (status, text[:200]))


def change_members(family):
    id = family.add("parent-456", "Birthday", "FAMILY")
    USERS["aunt-1"] = (FAMILY, None)
    check("an aunt sees nothing", "Birthday" not in family.titles("aunt-1"))
    check("nor is it there", family.ask("aunt-1", "GET", "/api/v1/appointments/" + id)[0] == 404)
    check("she comes into the family", family.ask("parent-456", "POST", "/api/v1/family/members", {"user_id": "aunt-1", "role": "PARENT"})[0] == 200)
    check("and sees", "Birthday" in family.titles("aunt-1"))
    check("a second role is a conflict", family.ask("parent-456", "POST", "/api/v1/family/members", {"user_id": "aunt-1", "role": "CHILD"})[0] == 409)
    check("she deletes", family.ask("aunt-1", "DELETE", "/api/v1/appointments/" + id)[0] == 200)
    USERS.pop("aunt-1")


def all_at_once(family):
    """Many write and read at the same time, so that one commit and one connection serve several users."""
    ROUNDS, wrong = 6, []

    def work(user):
        client = Client(family.client.server)
        header = [("Authorization", "Bearer " + family.token(user))]
        for number in range(ROUNDS):
            visibility = ("PRIVATE", "FAMILY", "PUBLIC")[number % 3]
            status, _, text = client.ask("POST", "/api/v1/appointments", {"title": "%s %s" % (visibility, user), "start": START, "visibility": visibility}, header)
            if status != 200:
                wrong.append((user, status, text))
            for title in [row["title"] for row in json.loads(client.ask("GET", "/api/v1/appointments", None, header)[2])]:
                seen, _, owner = title.partition(" ")
                if owner in USERS and not may_read(user, owner, seen) and owner != user:
                    wrong.append((user, "sees", title))
        client.close()

    before = {user: len(family.titles(user)) for user in USERS}
    threads = [threading.Thread(target=work, args=(user,)) for user in USERS for _ in range(2)]
    for user in USERS:
        family.token(user)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    check("nobody was refused and nobody saw too much", not wrong, str(wrong[:3]))
    for user in USERS:
        each = 2 * ROUNDS // 3
        more = sum(each for owner in USERS for seen in ("PRIVATE", "FAMILY", "PUBLIC") if owner == user or (USERS[owner][0] == USERS[user][0] == FAMILY and may_read(user, owner, seen)))
        check("%s sees all that it should" % user, len(family.titles(user)) == before[user] + more, "%d, expected %d" % (len(family.titles(user)), before[user] + more))


def on_store(store):
    with tempfile.TemporaryDirectory(prefix="flow-family-") as folder:
        server = Server(FLOWD, folder, ["flows/19_family.flow"], store=store)
        try:
            family = Family(server)
            for user, (tenant, role) in USERS.items():
                if role:
                    admin = "parent-456" if tenant == FAMILY else user
                    status, _, text = family.ask(admin, "POST", "/api/v1/family/members", {"user_id": user, "role": role})
                    check("%s is a %s" % (user, role), status == 200, text)
            for test in (try_all, infer, look_at_runs, change_members, all_at_once):
                test(family)
            family.client.close()
        finally:
            check("it ends", server.close() == 0)


def main():
    stores = sys.argv[2:] or [None]
    postgres = os.environ.get("FLOW_TEST_POSTGRES")
    if postgres and len(sys.argv) < 3:
        stores.append("%s%sschema=family_%d" % (postgres, "&" if "?" in postgres else "?", os.getpid()))
    for store in stores:
        on_store(store)
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


sys.exit(main())

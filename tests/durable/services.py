"""The private servers of scripts/services.sh, and what a store holds, as a test sees it from outside."""
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "services.sh")


def journal_row(hex_body):
    """A row of the journal as interpreter/store/journal_row.c writes it."""
    data, at = bytes.fromhex(hex_body), 1
    assert data[0] == 1, data

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text():
        nonlocal at
        size = varint()
        at += size
        return data[at - size:at]

    row = {name: varint() for name in ("request", "fiber", "span", "parent_span", "entry", "effect", "target", "agent", "took")}
    row.update({name: text() for name in ("name", "args_json", "payload", "detail_json")})
    assert at == len(data)
    return row


def journal(store, condition="1 = 1"):
    """The rows of all runs, or of some, by the time of their end: (tenant, run, seq, fields)."""
    body = "encode(body, 'hex')" if isinstance(store, PostgresStore) else "hex(body)"
    rows = []
    for tenant, run, seq, ended, text in store.query("SELECT tenant, run_id, seq, ended_us, %s FROM flow_journal WHERE %s ORDER BY ended_us, seq" % (body, condition)):
        row = journal_row(text)
        took = row["took"] >> 1 ^ -(row["took"] & 1)
        rows.append((tenant, run, int(seq), dict(row, started_us=int(ended) - took, ended_us=int(ended))))
    return rows


class Services:
    """A PostgreSQL and a Redis of this test alone, with every promise about durability switched on."""

    def __init__(self):
        self.parent = tempfile.mkdtemp(prefix="fidus-chaos.")
        os.chmod(self.parent, 0o711)                               # the servers' user must get through
        self.folder = os.path.join(self.parent, "s")
        self.run("start")

    def run(self, command, *args):
        # start_new_session: a Ctrl-C at the terminal must not stop the script half-way
        done = subprocess.run(["sh", SCRIPT, command, self.folder, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90, start_new_session=True)
        if done.returncode != 0:
            raise AssertionError("services.sh %s: %s" % (command, done.stdout.decode()))

    def stop(self):
        self.run("stop")
        shutil.rmtree(self.parent, ignore_errors=True)


class SqliteStore:
    """A file of its own; hot state lies in it, too."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fidus-store.")
        self.path = os.path.join(self.folder, "flow.db")
        self.env = {"FLOW_STORE": "sqlite:" + self.path, "FLOW_REDIS": ""}

    def query(self, sql):
        with sqlite3.connect(self.path, timeout=20) as db:
            return [tuple("" if v is None else str(v) for v in row) for row in db.execute(sql)]

    def tables(self):
        """The agents' tables."""
        return [name for name, in self.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 't\\_%' ESCAPE '\\'")]

    def rows(self, table):
        with sqlite3.connect(self.path, timeout=20) as db:
            cursor = db.execute('SELECT * FROM "%s"' % table)
            return [dict(zip([c[0] for c in cursor.description], row)) for row in cursor]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresStore:
    """A schema of its own in a folder of services.sh, and a Redis database. Questions are asked as the administrator, whom row security does not bind."""
    serial = itertools.count(1)

    def __init__(self, folder):
        number = next(PostgresStore.serial)
        self.folder, self.schema, self.db = folder, "t%d_%d" % (os.getpid(), number), (os.getpid() + number) % 1000 + 1
        self.env = {"FLOW_STORE": "postgresql://flow@/flow?host=%s/socket&schema=%s" % (folder, self.schema), "FLOW_REDIS": "unix:%s/socket/redis?db=%d" % (folder, self.db)}

    def query(self, sql):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-h", self.folder + "/socket", "-U", "admin", "-d", "flow",
                               "-c", "SET search_path = %s" % self.schema, "-c", sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if done.returncode != 0:
            raise ConnectionError(done.stderr.decode())
        return [tuple(line.split("\x1f")) for line in done.stdout.decode().splitlines()]

    def tables(self):
        return [name for name, in self.query("SELECT tablename FROM pg_tables WHERE schemaname = '%s' AND tablename LIKE 't\\_%%'" % self.schema)]

    def rows(self, table):
        return [json.loads(text) for text, in self.query('SELECT row_to_json(r) FROM "%s" r' % table)]

    def close(self):
        self.query("SET client_min_messages = error; DROP SCHEMA IF EXISTS %s CASCADE" % self.schema)
        subprocess.run(["redis-cli", "-s", self.folder + "/socket/redis", "-n", str(self.db), "FLUSHDB"], stdout=subprocess.DEVNULL, timeout=60)

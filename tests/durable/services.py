"""The private servers of scripts/services.sh, and what a store holds, as a test sees it from outside."""
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "services.sh")


class Bytes:
    """Reads what base/buf.h writes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def text(self):
        return self.raw(self.varint())

    def entries(self, count):
        """(ended_us, bytes of the row) of each."""
        return [(self.zigzag(), self.raw(int.from_bytes(self.raw(4), "little"))) for _ in range(count)]

    def done(self):
        return self.at == len(self.data)


def journal_row(data):
    """A row of the journal as interpreter/store/journal_row.c writes it."""
    read = Bytes(data)
    assert read.raw(1) == b"\1", data
    row = {name: read.varint() for name in ("request", "fiber", "span", "parent_span", "entry", "effect", "target", "agent")}
    row["took"] = read.zigzag()
    row.update({name: read.text() for name in ("name", "args_json", "payload", "detail_json")})
    assert read.done()
    return row


def journal_entries(store):
    """{(tenant, run, seq): (ended_us, bytes)} of all that is durable: chunks, and what lies in the logs of workers."""
    hexed = "encode(body, 'hex')" if isinstance(store, PostgresStore) else "hex(body)"
    found = {}
    if isinstance(store, PostgresStore):                           # first, since what is in the log goes into the journal
        for tenant, text in store.query("SELECT tenant, %s FROM flow_log" % hexed):
            read = Bytes(bytes.fromhex(text))
            assert read.raw(1) == b"\1"
            while not read.done():
                run, first, count = read.text().decode(), read.varint(), read.varint()
                found.update({(tenant, run, first + i): entry for i, entry in enumerate(read.entries(count))})
    chunks = set()
    for tenant, run, first, last, ended, text in store.query("SELECT tenant, run_id, seq, COALESCE(last_seq, seq), ended_us, %s FROM flow_journal" % hexed):
        data, count = bytes.fromhex(text), int(last) - int(first) + 1
        its = {(tenant, run, int(first) + i) for i in range(count)}
        assert not its & chunks, "rows of the journal lie in two chunks: %s" % sorted(its & chunks)
        chunks |= its
        if count == 1:
            found[tenant, run, int(first)] = int(ended), data
            continue
        read = Bytes(data)
        assert read.raw(1) == b"\2"
        found.update({(tenant, run, int(first) + i): entry for i, entry in enumerate(read.entries(count))})
        assert read.done()
    return found


def journal(store, run_id=None, from_us=0):
    """The rows of all runs, or of one, that ended then or later, by the time of their end: (tenant, run, seq, fields)."""
    rows = []
    for (tenant, run, seq), (ended, data) in sorted(journal_entries(store).items(), key=lambda item: (item[1][0], item[0][2])):
        if ended < from_us or run_id not in (None, run):
            continue
        row = journal_row(data)
        rows.append((tenant, run, seq, dict(row, started_us=ended - row["took"], ended_us=ended)))
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
    spare = {}                                                     # by folder: (schema, database) of those that were emptied

    def __init__(self, folder):
        number = next(PostgresStore.serial)
        try:
            self.schema, self.db = PostgresStore.spare.setdefault(folder, []).pop()
        except IndexError:
            self.schema, self.db = "t%d_%d" % (os.getpid(), number), (os.getpid() + number) % 1000 + 1
        self.folder = folder
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
        self.flush()

    def recycle(self):
        """Empty as a new one, for whoever comes next: to make a schema takes longer than many a test in it."""
        self.query("""DO $$ DECLARE t record; BEGIN
            FOR t IN SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 't\\_%' LOOP EXECUTE format('DROP TABLE %I CASCADE', t.name); END LOOP;
            FOR t IN SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('flow_meta', 'flow_schema')
                ORDER BY c.relname = 'flow_runs' LOOP EXECUTE format('DELETE FROM %I', t.name); END LOOP; END $$""")
        self.flush()
        PostgresStore.spare[self.folder].append((self.schema, self.db))

    def flush(self):
        subprocess.run(["redis-cli", "-s", self.folder + "/socket/redis", "-n", str(self.db), "FLUSHDB"], stdout=subprocess.DEVNULL, timeout=60)

"""The private servers of scripts/services.sh, and what a store holds, as a test sees it from outside."""
import os
import shutil
import sqlite3
import subprocess
import tempfile

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "services.sh")


class Services:
    """A PostgreSQL and a Redis of this test alone, with every promise about durability switched on."""

    def __init__(self):
        self.parent = tempfile.mkdtemp(prefix="fidus-chaos.")
        os.chmod(self.parent, 0o711)                               # the servers' user must get through
        self.folder = os.path.join(self.parent, "s")
        self.run("start")
        self.postgres = "postgresql://flow@/flow?host=%s/socket" % self.folder
        self.redis = "unix:%s/socket/redis" % self.folder

    def run(self, command, *args):
        # start_new_session: a Ctrl-C at the terminal must not stop the script half-way
        done = subprocess.run(["sh", SCRIPT, command, self.folder, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90, start_new_session=True)
        if done.returncode != 0:
            raise AssertionError("services.sh %s: %s" % (command, done.stdout.decode()))

    def stop(self):
        self.run("stop")
        shutil.rmtree(self.parent, ignore_errors=True)


class SqliteStore:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fidus-chaos.")
        self.path = os.path.join(self.folder, "flow.db")
        self.url = "sqlite:" + self.path
        self.services = None

    def query(self, sql):
        with sqlite3.connect(self.path, timeout=20) as db:
            return [tuple("" if v is None else str(v) for v in row) for row in db.execute(sql)]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresStore:
    """One schema. Questions are asked as the administrator, whom row security does not bind."""

    def __init__(self, services, schema="flow"):
        self.services, self.schema = services, schema
        self.url = services.postgres + "&schema=" + schema

    def query(self, sql):
        socket = self.services.folder + "/socket"
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", "admin", "-d", "flow",
                               "-c", "SET search_path = %s" % self.schema, "-c", sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if done.returncode != 0:
            raise ConnectionError(done.stderr.decode())
        return [tuple(line.split("\x1f")) for line in done.stdout.decode().splitlines()]

    def close(self):
        pass

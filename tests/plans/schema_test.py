#!/usr/bin/env python3
"""schema_test.py BUILD - the JSON Schema of `flowc plan schema` is one, by npm's ajv in its strict mode, and says of plans what `flowc plan check` says.

Every plan of tests/plans/hostile that compiles is valid by the schema, but for those that write what the schema asks to write otherwise; every plan that is refused
for its shape, its tool or the names of its parameters is invalid. The documented plan is among them.
"""
import os
import shutil
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
HERE = os.path.dirname(os.path.abspath(__file__))
ALLOWED = "finance.*,travel.*,calendar.*,communication.*,web.*,worker.*"
# A decimal as text is taken, but a model is to write a number.
STRICTER = {"param-decimal-text.ok.json"}
# What the schema does not say: characters, numbers above 2^53, uniqueness, what goes only with the value of another member; and JSON that JavaScript reads otherwise.
CANNOT = ("character-", "number-", "duplicate-", "shape-id-", "terminal-", "unicode-", "form-in-", "deep-", "bomb-", "member-of-group", "shape-retry-with")
SHAPES = {"E0722", "E0723", "E0724", "E0725", "E0727"}
passed = failed = 0


def check(good, name, more=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"  FAIL {name} {more}")


def installed():
    """The packages of the lock file, in the build folder; again only when it changed."""
    folder = os.path.join(BUILD, "tests", "plans")
    lock = open(os.path.join(HERE, "schema", "package-lock.json")).read()
    stamp = os.path.join(folder, "installed")
    if not os.path.exists(stamp) or open(stamp).read() != lock:
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, "schema", name), folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=folder, check=True, timeout=300)
        with open(stamp, "w") as file:
            file.write(lock)
    return folder


def verdicts(folder, schema):
    out = subprocess.run(["node", os.path.join(HERE, "schema", "check.mjs"), schema, os.path.join(HERE, "hostile")], cwd=folder, capture_output=True, text=True, timeout=120)
    check(out.returncode == 0, "ajv takes the schema", out.stderr[-500:])
    lines = [line.split(" ", 2) for line in out.stdout.splitlines()]
    return {line[1]: (line[0] == "valid", " ".join(line[2:])) for line in lines}


def main():
    with tempfile.TemporaryDirectory() as work:
        schema = os.path.join(work, "schema.json")
        made = subprocess.run([os.path.join(BUILD, "flowc"), "plan", "schema", "--ask", "--allow", ALLOWED, "--agents", os.path.join(HERE, "agents.flow"), "-o", schema], timeout=60)
        check(made.returncode == 0, "flowc plan schema")
        check(os.path.getsize(schema) < 20000, "it is small", os.path.getsize(schema))
        said = verdicts(installed(), schema)
    check(len(said) > 600, "plans that are JSON", len(said))
    check(said.get("good-documented.ok.json", (False,))[0], "the documented plan")
    for name, (valid, why) in said.items():
        codes = set(name.split(".")[1].split("+"))
        if codes == {"ok"}:
            check(valid or name in STRICTER, name, why)
        elif codes & SHAPES and not name.startswith(CANNOT):
            check(not valid, name, "refused, but valid by the schema")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())

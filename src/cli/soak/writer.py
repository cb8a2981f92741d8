"""Changes a project's features as AutoForge's own processes do: with sqlite3 and nothing else.

Each change is one IMMEDIATE transaction. It is announced on stdout before it begins and acknowledged
after its commit, so whoever reads along knows what must be in the file, and what may be when this
process is killed in between. Ends when its input does.
"""
import json
import random
import select
import sqlite3
import sys
import time

path, slot, slots, life, seed = sys.argv[1], *map(int, sys.argv[2:6])
random.seed(seed)
added = []


def say(**what):
    print(json.dumps(what), flush=True)


def change(kind, sql, values, **what):
    """Whether the statement changed a row."""
    say(does=kind, **what)
    began = time.monotonic()
    db.execute("BEGIN IMMEDIATE")
    try:
        cursor = db.execute(sql, values)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if kind == "created":
        what["id"] = cursor.lastrowid
        added.append(cursor.lastrowid)
    us = int((time.monotonic() - began) * 1_000_000)
    say(did=kind, rows=cursor.rowcount, us=us, **what)
    return cursor.rowcount > 0


def goes_on():
    """Waits as somebody who thinks; false when this process has to end."""
    return not select.select([sys.stdin], [], [], random.uniform(0.005, 0.1))[0]


def add():
    after = added[-1:] if random.random() < 0.4 else []
    name = "Feature %d of writer %d.%d" % (len(added) + 1, slot, life)
    change(
        "created",
        "INSERT INTO features (priority, category, name, description, steps, passes, in_progress,"
        " dependencies, needs_human_input)"
        " SELECT coalesce(max(priority), 0) + 1, 'Python', ?, 'As told.', ?, 0, 0, ?, 0 FROM features",
        (name, json.dumps(["Build it"]), json.dumps(after) if after else None),
        name=name,
    )


def ready():
    """A feature of this writer's share that nobody works on and that waits for none."""
    rows = db.execute(
        "SELECT id, dependencies FROM features WHERE passes = 0 AND in_progress = 0"
        " AND needs_human_input = 0 ORDER BY priority, id LIMIT 60"
    ).fetchall()
    random.shuffle(rows)
    for id, dependencies in rows:
        needed = json.loads(dependencies or "null") or []
        passing = db.execute(
            "SELECT count(*) FROM features WHERE passes = 1 AND id IN (%s)" % ",".join("?" * len(needed)),
            needed,
        ).fetchone()[0]
        if id % slots == slot and passing == len(needed):
            return id
    return None


def work(id):
    """Claims the feature and ends the claim, in one way or another."""
    claimed = change(
        "claimed",
        "UPDATE features SET in_progress = 1"
        " WHERE id = ? AND passes = 0 AND in_progress = 0 AND needs_human_input = 0",
        (id,),
        id=id,
    )
    if not claimed:
        return
    choice = random.random() if goes_on() else 1
    if choice < 0.6:
        change("passed", "UPDATE features SET passes = 1, in_progress = 0 WHERE id = ? AND passes = 0", (id,), id=id)
    elif choice < 0.8:
        change(
            "skipped",
            "UPDATE features SET in_progress = 0, priority = (SELECT max(priority) + 1 FROM features)"
            " WHERE id = ? AND passes = 0",
            (id,),
            id=id,
        )
    else:
        change("released", "UPDATE features SET in_progress = 0 WHERE id = ? AND in_progress = 1", (id,), id=id)


try:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA busy_timeout = 30000")
    while goes_on():
        if random.random() < 0.2:
            add()
        id = ready()
        if id is not None:
            work(id)
    db.close()
except sqlite3.Error as error:
    say(failed=str(error))
    sys.exit(1)

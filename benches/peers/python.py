"""The peers that are queues of Python: each client is a thread.

Started by the program in src/, whose head says what is compared; part/src/lib.rs says how. By hand:
`python.py run huey FOLDER CLIENTS MILLISECONDS`, after `python.py fill huey FOLDER COUNT`.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Claims the next task and finishes it, both durable when it returns; False when there is none left.
Cycle = Callable[[], bool]
PATIENCE = 60
MODULES = {"huey": "huey", "persist-queue": "persistqueue", "litequeue": "litequeue"}


def huey(folder: Path, clients: int, durable: bool = True) -> list[Cycle]:
    """Takes a task out of the queue, runs it and keeps its result. Threads share a connection."""
    from huey import SqliteHuey

    queue = SqliteHuey(filename=str(folder / "huey.db"), fsync=durable, timeout=PATIENCE)

    @queue.task()
    def finish(at: int) -> int:
        return at

    def cycle() -> bool:
        task = queue.dequeue()
        if task is None:
            return False
        queue.execute(task)
        return True

    return [cycle] * clients if durable else [lambda: bool(finish(1))]


def persist_queue(folder: Path, clients: int, durable: bool = True) -> list[Cycle]:
    """Marks an item as taken, then as done. Threads share two connections."""
    from persistqueue import Empty, SQLiteAckQueue

    queue = SQLiteAckQueue(
        str(folder), multithreading=True, timeout=PATIENCE, db_file_name="queue.db"
    )
    set_synchronous = f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}"
    queue._putter.execute(set_synchronous)

    def cycle() -> bool:
        try:
            item = queue.get(block=False, raw=True)
        except Empty:
            return False
        queue.ack(id=item["pqid"])
        return True

    return [cycle] * clients if durable else [lambda: bool(queue.put("feature"))]


def litequeue(folder: Path, clients: int, durable: bool = True) -> list[Cycle]:
    """Locks a message, then marks it done. Each thread has a connection."""
    from litequeue import LiteQueue

    def client() -> Cycle:
        queue = LiteQueue(folder / "litequeue.db", timeout=PATIENCE)
        queue.conn.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")

        def cycle() -> bool:
            message = queue.pop()
            if message is None:
                return False
            queue.done(message.message_id)
            return True

        return cycle if durable else lambda: bool(queue.put("feature"))

    return [client() for _ in range(clients)]


PEERS = {"huey": huey, "persist-queue": persist_queue, "litequeue": litequeue}


def fill(peer: str, folder: Path, count: int) -> None:
    """One durable put each would take longer than the comparison."""
    (put,) = PEERS[peer](folder, 1, durable=False)
    for _ in range(count):
        put()


def run(peer: str, folder: Path, clients: int, seconds: float) -> None:
    """Prints each cycle: when it ended, since all began, and how long it took, in microseconds."""
    cycles = PEERS[peer](folder, clients)
    done: list[tuple[float, float]] = []
    print("ready", flush=True)
    sys.stdin.read()
    began = time.perf_counter()

    def repeat(cycle: Cycle) -> None:
        while (start := time.perf_counter()) - began < seconds and cycle():
            end = time.perf_counter()
            done.append((end - began, end - start))

    threads = [threading.Thread(target=repeat, args=(cycle,)) for cycle in cycles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ended, took in done:
        print(int(ended * 1e6), int(took * 1e6))


def main() -> int:
    match sys.argv[1:]:
        case ["can", peer]:
            return 0 if importlib.util.find_spec(MODULES[peer]) else 1
        case ["fill", peer, folder, count]:
            fill(peer, Path(folder), int(count))
        case ["run", peer, folder, clients, milliseconds]:
            run(peer, Path(folder), int(clients), int(milliseconds) / 1000)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

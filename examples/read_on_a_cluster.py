"""Read a folder of scans on a Dask cluster, into the table that `downstroke read FOLDER --csv TABLE` writes.

    python examples/read_on_a_cluster.py scans table.csv                          # two workers on this machine
    python examples/read_on_a_cluster.py scans table.csv --scheduler tcp://10.0.0.1:8786

Every worker must see the scans at the same path, as on a shared disk, and have downstroke installed. Dask gives the
files of a worker that was killed to another; files whose workers die four times are told and left out. What the table
has is not read again, so the same command goes on after a break.
"""

import argparse
import functools
import itertools
from collections import deque

import cv2
from distributed import Client, KilledWorker, LocalCluster

from downstroke.glyphs.picture import Source, sources
from downstroke.reading.reader import Reader, Reading
from downstroke.show.readings_table import ReadingsTable

FILES = 8  # a task: some seconds of work
AHEAD = 4  # tasks a worker that may be done before the first of them is in the table: what bounds memory


@functools.cache
def reader() -> Reader:
    cv2.setNumThreads(1)
    return Reader.shipped()


def read(found: list[Source]) -> list[Reading]:
    """On a worker: a picture that cannot be read gives a reading with its error."""
    return list(reader().read_all(found))


def read_folder(client: Client, folder: str, table: ReadingsTable) -> None:
    """Rows are added in the order of the files, whoever is done first."""
    found = (source for source in sources(folder) if table.lacks(source, ()) is not None)
    under_way: deque = deque()

    def add_first() -> None:
        batch, future = under_way.popleft()
        try:
            readings = future.result()
        except KilledWorker:
            print(f"left out, their workers were killed again and again: {', '.join(source.name for source in batch)}")
            return
        for reading in readings:
            table.add(reading)
            if reading.error:
                print(f"error: {reading.error}")

    while batch := list(itertools.islice(found, FILES)):
        under_way.append((batch, client.submit(read, batch, pure=False)))
        if len(under_way) >= AHEAD * max(1, len(client.nthreads())):
            add_first()
    while under_way:
        add_first()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("folder")
    arguments.add_argument("table")
    arguments.add_argument("--scheduler", help="tcp://HOST:PORT; left out, two workers on this machine")
    given = arguments.parse_args()
    cluster = given.scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        read_folder(client, given.folder, ReadingsTable(given.table))

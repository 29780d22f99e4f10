# SPDX-License-Identifier: BSD-3-Clause
"""Writeback to a file and to /dev/zram0, and reading in order, beside fio's there, taking turns."""

import json
import statistics
import subprocess
import tempfile

import zram

ENGINES = ("auto", "threads")


def fields(line):
    name, *rest = line.split()
    return name, dict(field.split("=") for field in rest)


def write_back(build, path, where, mib, engine):
    """What it is called by, and the figures of writing and reading."""
    text = subprocess.run([build / "bench" / "zcram-bench-backing", path, where, str(mib), engine],
                          check=True, timeout=600, stdout=subprocess.PIPE, text=True).stdout
    lines = [fields(line) for line in text.splitlines()]
    written = next(line for name, line in lines if name == "write")
    return {"name": "io_uring" if written["io_uring"] == "1" else "threads",
            "pages_s": float(written["pages_s"]), "mib_s": float(written["written_mib_s"]),
            "written_to_payload": float(written["written_to_payload"]),
            **{f"reads_s_{line['at_once']}": float(line["reads_s"])
               for name, line in lines if name == "read" and line["order"] == "any"},
            **{key: float(line[key]) for name, line in lines
               if name == "read" and line["order"] == "in_order"
               for key in ("reads_s", "read_mib_s")}}


def fio(where, mib, rw, bs, depth):
    """MiB/s of sequential requests; the file is allocated already."""
    text = subprocess.run(["fio", "--name=seq", f"--filename={where}", f"--size={mib}M",
                           f"--rw={rw}", f"--bs={bs}", f"--iodepth={depth}", "--ioengine=io_uring",
                           "--direct=1", "--allow_file_create=0", "--fallocate=none",
                           "--output-format=json"],
                          check=True, timeout=600, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text)["jobs"][0][rw]["bw_bytes"] / (1 << 20)


def median(results):
    first = results[0]
    return {key: value if key == "name" else statistics.median(r[key] for r in results)
            for key, value in first.items()}


def measure_where(build, path, what, where, mib, rounds):
    """Each run of an engine stands between two of fio's, and is measured beside both: what a disk
    gives changes from one second to the next."""
    results, beside, read = {}, [], []
    for engine in ENGINES * rounds:
        # The first makes the file, which fio does not.
        before = beside[-1] if beside else None
        result = write_back(build, path, where, mib, engine)
        # As large requests as a store has, and more of them at once.
        beside.append(fio(where, mib, "write", "1M", 8))
        # What 32 objects in order are.
        read.append(fio(where, mib, "read", "32k", 2))
        result["to_fio"] = result["mib_s"] / statistics.mean((before or beside[-1], beside[-1]))
        results.setdefault(result["name"], []).append(result)
    return {"where": what, "mib": mib, "fio_mib_s": statistics.median(beside),
            "fio_read_mib_s": statistics.median(read),
            "engines": [median(r) for r in results.values()]}


def measure(build, path, mib, rounds):
    # A disk: /tmp may be memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        results = [measure_where(build, path, "a file", f"{directory}/store", mib, rounds)]
    if not zram.unavailable():
        with zram.disk((mib + mib // 4) << 20):
            results.append(measure_where(build, path, "zram0", zram.DEVICE, mib, rounds))
    return results

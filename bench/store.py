# SPDX-License-Identifier: BSD-3-Clause
"""Writeback to a file, beside fio's sequential writes to the same file, taking turns."""

import json
import os
import statistics
import subprocess

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
               for name, line in lines if name == "read"}}


def fio(where, mib):
    """MiB/s: as many and as large requests at once as a store has; the file is allocated already."""
    text = subprocess.run(["fio", "--name=seq", f"--filename={where}", f"--size={mib}M",
                           "--rw=write", "--bs=1M", "--iodepth=8", "--ioengine=io_uring",
                           "--direct=1", "--allow_file_create=0", "--fallocate=none",
                           "--output-format=json"],
                          check=True, timeout=600, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text)["jobs"][0]["write"]["bw_bytes"] / (1 << 20)


def median(results):
    first = results[0]
    return {key: value if key == "name" else statistics.median(r[key] for r in results)
            for key, value in first.items()}


def measure(build, path, directory, mib, rounds):
    where = os.path.join(directory, "store")
    results, beside = {}, []
    for _ in range(rounds):
        for engine in ENGINES:
            result = write_back(build, path, where, mib, engine)
            results.setdefault(result["name"], []).append(result)
            beside.append(fio(where, mib))
    os.unlink(where)
    return {"mib": mib, "fio_mib_s": statistics.median(beside),
            "engines": [median(r) for r in results.values()]}

# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's zram: the work of the memory benchmark on /dev/zram0, which is left as it was."""

import contextlib
import os
import pathlib
import subprocess
import time

SYSFS = pathlib.Path("/sys/block/zram0")
DEVICE = "/dev/zram0"
ALGORITHMS = ("lz4", "lzo-rle")
PAGE = 4096
TABLE_ENTRY = 16  # bytes a page of the device
HANDLE = 8  # bytes an object, from a slab of its own


def unavailable():
    """Why it cannot be measured here, or None."""
    if not SYSFS.exists() or not os.path.exists(DEVICE):
        return "there is no /dev/zram0 (modprobe zram makes one)"
    if os.geteuid() != 0:
        return "only root can set it up"
    if (SYSFS / "disksize").read_text().strip() != "0":
        return "/dev/zram0 is in use"
    return None


def available():
    return (SYSFS / "comp_algorithm").read_text().replace("[", "").replace("]", "").split()


def chosen():
    return next(a for a in (SYSFS / "comp_algorithm").read_text().split() if a[0] == "[")[1:-1]


def write(name, value):
    (SYSFS / name).write_text(str(value))


def memory(pages):
    fields = [int(f) for f in (SYSFS / "mm_stat").read_text().split()]
    original, payload, used = fields[:3]
    return {"payload": payload, "used": used,
            "with_tables": used + pages * TABLE_ENTRY + original // PAGE * HANDLE}


@contextlib.contextmanager
def disk(size):
    """The device as a disk of SIZE bytes, with what it compresses by if nobody chooses."""
    try:
        write("disksize", size)
        yield
    finally:
        write("reset", 1)


def measure_algorithm(algorithm, program, path, pages):
    def work(name):
        return float(subprocess.run([program, name, DEVICE, str(pages), path], check=True,
                                    timeout=1200, stdout=subprocess.PIPE).stdout)

    def result(phase, seconds, **more):
        return {"algorithm": algorithm, "phase": phase, "seconds": seconds,
                "mib": pages * PAGE / (1 << 20), **memory(pages), **more}

    write("comp_algorithm", algorithm)
    write("disksize", pages * PAGE)
    filled = result("filled", work("fill"))
    filled["read_iops"] = work("read")
    results = [filled, result("overwritten twice at random", work("overwrite"))]
    filled["write_iops"] = work("write")
    results.append(result("75% trimmed at random", work("trim")))
    since = time.monotonic()
    write("compact", 1)
    results.append(result("75% trimmed, compacted", time.monotonic() - since))
    return results


def measure(build, path, pages):
    program = build / "bench" / "zcram-bench-block"
    before = chosen()
    results = []
    for algorithm in ALGORITHMS:
        if algorithm not in available():
            continue
        try:
            results += measure_algorithm(algorithm, program, path, pages)
        finally:
            write("reset", 1)
            write("comp_algorithm", before)
    return results

# SPDX-License-Identifier: BSD-3-Clause
"""NBD servers side by side: what nbdkit ships, and zcram."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time

MIB = 1 << 20
NULL = "null"


def commands(plugin):
    """
    Name and nbdkit arguments of each peer: as without root, and once as root has it for swap, with
    real-time threads: they are at work before a client has sent what else it has to ask.
    """
    own = [plugin, "lock=off"]
    return {
        NULL: ["null"],
        "memory": ["memory"],
        "memory allocator=zstd": ["memory", "allocator=zstd"],
        "zcram lz4 filter=none": [*own, "algorithm=lz4", "filter=none"],
        "zcram lz4": [*own, "algorithm=lz4"],
        "zcram lz4 lock=auto": [plugin, "algorithm=lz4"],
        "zcram zstd filter=none": [*own, "algorithm=zstd(level=1)", "filter=none"],
        "zcram zstd": [*own, "algorithm=zstd(level=1)"],
    }


def find(results, name):
    return next(result for result in results if result["name"] == name)


class Server:
    """nbdkit with one plugin on a Unix socket, for as long as the with statement lasts."""

    def __init__(self, arguments, size):
        self.tmp = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.tmp.name)
        self.uri = f"nbd+unix:///?socket={self.path}/socket"
        self.command = ["nbdkit", "-f", "--exit-with-parent", "-U", self.path / "socket",
                        "-P", self.path / "pid", *arguments, f"size={size}"]

    def __enter__(self):
        self.log = open(self.path / "log", "w+")
        self.process = subprocess.Popen(self.command, stderr=self.log, stdin=subprocess.DEVNULL)
        self.wait_for(lambda: (self.path / "pid").exists())  # written when it listens
        # Its plugin has done all it does at the start once a client is answered.
        subprocess.run(["nbdinfo", "--size", self.uri], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()
        self.tmp.cleanup()

    def wait_for(self, condition):
        end = time.monotonic() + 30
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.command}: " + (self.path / "log").read_text())
            time.sleep(0.005)

    def resident_now(self):
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(l.split()[1]) << 10 for l in rollup.splitlines() if l.startswith("Rss:"))

    def resident(self):
        """Bytes, when they have stayed the same a while: threads of a connection end after it."""
        same, size, end = 0, self.resident_now(), time.monotonic() + 10
        while same < 20 and time.monotonic() < end:
            time.sleep(0.02)
            before, size = size, self.resident_now()
            same = same + 1 if size == before else 0
        return size

    def statistics(self):
        """What zcram prints on SIGUSR1: name: value lines, up to the last counter."""
        def lines():
            return (self.path / "log").read_text().splitlines()

        self.process.send_signal(signal.SIGUSR1)
        self.wait_for(lambda: any("refills:" in line for line in lines()))
        fields = (line.split(":")[-2:] for line in lines() if ":" in line)
        return {name.strip(): int(value) for name, value in fields if value.strip().isdigit()}


def timed(*command):
    since = time.monotonic()
    subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return time.monotonic() - since


def copy(source, destination):
    # Without the map of extents, which would let the empty null device be copied unread, and
    # which the memory plugin's zstd allocator crashes on.
    return timed("nbdcopy", "--no-extents", "-C", "1", source, destination)


def random_reads(uri, depth, milliseconds):
    text = subprocess.run(["fio", "--name=read", "--ioengine=nbd", f"--uri={uri}",
                           "--rw=randread", "--bs=4k", f"--iodepth={depth}", "--time_based",
                           "--norandommap", f"--runtime={milliseconds}ms",
                           "--output-format=json"],
                          check=True, timeout=600, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text[text.index("{"):])["jobs"][0]["read"]["iops"]


def random_writes(program, uri, depth, milliseconds, path):
    return float(subprocess.run([program, "write", uri, str(depth), str(milliseconds), path],
                                check=True, timeout=600, stdout=subprocess.PIPE).stdout)


def check_content(server, path):
    """What was copied in has to come out again: a wrong server's speed is worth nothing."""
    with subprocess.Popen(["nbdcopy", "--no-extents", server.uri, "-"],
                          stdout=subprocess.PIPE) as copied:
        subprocess.run(["cmp", path, "-"], check=True, stdin=copied.stdout)


def measure_once(arguments, path, program, milliseconds, check):
    size, ours = os.stat(path).st_size, isinstance(arguments[0], pathlib.Path)
    with Server(arguments, size) as server:
        before = server.resident()
        result = {"copy_in": size / MIB / copy(path, server.uri)}
        result["held"] = server.resident() - before
        result["payload"] = server.statistics()["payload"] if ours else None
        if check:
            check_content(server, path)
        result["copy_out"] = size / MIB / copy(server.uri, "null:")
        for depth in (1, 16):
            result[f"read_{depth}"] = random_reads(server.uri, depth, milliseconds)
        for depth in (1, 16):
            result[f"write_{depth}"] = random_writes(program, server.uri, depth, milliseconds,
                                                     path)
    return result


def measure(build, path, rounds, milliseconds):
    """A dictionary of medians for each peer."""
    plugin = build.resolve() / "nbdkit-plugin" / "nbdkit-zcram-plugin.so"
    program = build / "bench" / "zcram-bench-nbd"
    every = commands(plugin)
    results = {name: [] for name in every}
    for turn in range(rounds):
        for name, arguments in every.items():
            results[name].append(measure_once(arguments, path, program, milliseconds,
                                              turn == 0 and name != NULL))
    return [{"name": name,
             **{key: statistics.median(r[key] for r in runs) if runs[0][key] is not None else None
                for key in runs[0]}}
            for name, runs in results.items()]

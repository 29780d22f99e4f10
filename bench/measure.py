# SPDX-License-Identifier: BSD-3-Clause
"""Measure zcram beside its peers and print the tables; bench/run prepares what this needs.

speed    the engine beside the codec alone, on the same pages
memory   what the engine holds beside its payload: filled, overwritten, trimmed and compacted
allocators  zbud beside zspages: speed, what they hold, what it costs to free a page
latency  4 KiB reads while the engine compacts, beside reads while it is idle
cold     memory of a device whose old pages are compressed again, and written back, beside one
         whose are not
store    writeback to a file and to /dev/zram0, beside fio's sequential writes there
nbd      through NBD, beside what nbdkit ships: copies, random requests, resident memory
zram     the memory section's work on the kernel's zram, where /dev/zram0 is free

Peers take turns round by round, and each figure is the median of its rounds.
"""

import argparse
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import peers
import plot
import store
import zram

SECTIONS = ("speed", "memory", "allocators", "latency", "cold", "store", "nbd", "zram")
METHODS = [(a, f) for a in ("lz4", "zstd") for f in ("none", "auto")]
MIB = 1 << 20


class Report:
    """Prints, and keeps what was printed."""

    def __init__(self):
        self.lines = []

    def print(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, title, head, rows):
        self.print()
        self.print(title)
        cells = [head] + [[str(cell) for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        for row in cells:
            texts = [row[0].ljust(widths[0])]
            texts += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            self.print("  " + "  ".join(texts).rstrip())


def output(*command, timeout=600, stderr=None):
    return subprocess.run([str(c) for c in command], check=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=stderr, text=True).stdout


def engine(args, *options):
    """Run the engine benchmark; the fields of each line that it prints."""
    program = args.build / "bench" / "zcram-bench-engine"
    lines = output(program, *options, args.input, timeout=1800).splitlines()
    return [dict(field.split("=") for field in line.split()[1:]) for line in lines]


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def machine(args):
    """The lines that say what this was measured on, and with what."""
    def first_line(*command):
        try:
            return output(*command, stderr=subprocess.DEVNULL).splitlines()[0]
        except (OSError, subprocess.CalledProcessError):
            return f"{command[0]}: none"

    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    cpu = next((l.split(":")[1].strip() for l in cpuinfo.splitlines() if "model name" in l), "CPU")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    libraries = ", ".join(f"lib{n} {first_line('pkg-config', '--modversion', f'lib{n}')}"
                          for n in ("zstd", "lz4"))
    return [f"{datetime.datetime.now():%Y-%m-%d %H:%M}, commit "
            + first_line("git", "describe", "--always", "--dirty"),
            f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB, Linux {os.uname().release}",
            f"{libraries}, {first_line('nbdkit', '--version')}, {first_line('fio', '--version')}",
            f"input: {args.input.stat().st_size / MIB:.0f} MiB of process memory, "
            "no page of one repeated word among it",
            "load when it began: " + pathlib.Path("/proc/loadavg").read_text().split()[0]]


def run_speed(args, report):
    size, rounds = (24, 5) if args.quick else (128, 7)
    lines = []
    for algorithm, filter_ in METHODS:
        lines += engine(args, "-a", algorithm, "-f", filter_, "-r", rounds, "-m", size, "speed")
    rows = [(f"{l['algorithm']} filter={l['filter']} {l['op']}", f"{int(l['block']) >> 10}K",
             l["threads"], l["engine_mib_s"], l["codec_mib_s"], l["engine_to_codec"],
             l.get("engine_two_to_one", ""), l.get("codec_two_to_one", "")) for l in lines]
    report.table("Engine beside codec alone, MiB/s (fill: into an empty device; "
                 "2:1: two threads to one)",
                 ["", "a call", "threads", "engine", "codec", "ratio", "engine 2:1", "codec 2:1"],
                 rows)
    return lines


def run_memory(args, report):
    lines = []
    for target in (100,) if args.quick else (100, 1024):
        for algorithm, filter_ in METHODS:
            lines += engine(args, "-a", algorithm, "-f", filter_, "-p", target, "memory")
    phases = {"fill": "filled", "overwrite": "overwritten twice at random",
              "trim": "75% trimmed at random", "compact": "75% trimmed, compacted"}
    rows = [(f"{l['algorithm']} filter={l['filter']} {phases[l['phase']]}",
             *(number(int(l[k]) / MIB, 1) for k in ("payload", "held", "pool", "metadata",
                                                    "reserve")),
             l["held_to_payload"], l["pool_to_payload"], l["seconds"]) for l in lines]
    report.table("Memory of the engine, MiB (held: growth of the resident size, the reserve apart)",
                 ["", "payload", "held", "pool", "metadata", "reserve", "held/payload",
                  "pool/payload", "seconds"], rows)
    return lines


def run_allocators(args, report):
    size, rounds = (24, 5) if args.quick else (128, 7)
    lines = []
    for algorithm in ("lz4", "zstd"):
        lines += engine(args, "-a", algorithm, "-f", "auto", "-r", rounds, "-m", size, "allocators")
    rows = []
    for line in lines:
        unit = next(k[len("zbud_"):] for k in line if k.startswith("zbud_") and k != "zbud_to_zspage")
        rows.append((f"{line['algorithm']} {line['what']}, {unit}", line["threads"],
                     line[f"zspage_{unit}"], line[f"zbud_{unit}"], line["zbud_to_zspage"]))
    report.table("zbud beside zspages (held: pool to payload; moved: objects for a page that comes "
                 "free; relieved: what writeback alone frees, of what it was to; written: payload, for "
                 "that)", ["", "threads", "zspage", "zbud", "ratio"], rows)
    return lines


def cold_name(line):
    name = f"{line['then']}(level={line['level']})"
    if line["dictionary"] == "yes":
        name += " and dictionaries"
    return name + ", written back" if line["store"] == "yes" else name


def run_cold(args, report):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        lines = engine(args, "-a", "lz4", "-f", "auto", "-t", 100 if args.quick else 150,
                       "-w", f"{directory}/store", "cold")
    rows = [(f"{l['algorithm']}, then {cold_name(l)}",
             *(number(int(l[k]) / MIB, 1) for k in ("payload_before", "payload", "memory_before",
                                                    "memory")),
             l["less"], l["cpu_mean"], l["cpu_most"],
             *(number(float(l[k]) / 1e3, 1) for k in ("p50_ns_before", "p50_ns",
                                                      "p999_ns_before", "p999_ns",
                                                      "away_p50_ns")))
            for l in lines]
    report.table("A device whose pages go cold beside one that does nothing about it, MiB and "
                 "microseconds of 4 KiB reads from memory, and from the store",
                 ["", "payload", "then", "memory", "then", "less", "CPU", "most of a second",
                  "p50", "then", "p99.9", "then", "p50, store"], rows)
    return lines


def run_store(args, report):
    results = store.measure(args.build, args.input, 128 if args.quick else 1024,
                            1 if args.quick else 5)
    for r in results:
        rows = [(e["name"], number(e["pages_s"]), number(e["mib_s"]), number(r["fio_mib_s"]),
                 f"{e['to_fio']:.2f}", f"{e['written_to_payload']:.4f}", number(e["reads_s_1"]),
                 number(e["reads_s_32"]), number(e["reads_s"]), number(e["read_mib_s"]),
                 number(r["fio_read_mib_s"])) for e in r["engines"]]
        report.table(f"Writeback of {r['mib']} MiB to {r['where']}, and reading 32 pages at once, in "
                     "any order and in that of writing, beside fio's sequential requests there",
                     ["", "pages/s", "MiB/s", "fio MiB/s", "ratio", "written/payload", "reads/s",
                      "32 at once", "in order", "MiB/s", "fio MiB/s"], rows)
    return results


def run_latency(args, report):
    lines = []
    for algorithm in ("lz4", "zstd"):
        lines += engine(args, "-a", algorithm, "-r", 3 if args.quick else 5,
                        "-m", 32 if args.quick else 64, "latency")
    names = {"idle": "idle", "neighbour": "beside a thread that compresses for itself",
             "compaction": "beside compaction and migration"}
    rows = [(f"{l['algorithm']} {names[l['load']]}", number(int(l["reads"])),
             *(number(float(l[k]) / 1e3, 1) for k in ("p50_ns", "p99_ns", "p999_ns")),
             l["p999_to_idle"]) for l in lines]
    report.table("4 KiB reads from one thread, microseconds",
                 ["", "reads", "p50", "p99", "p99.9", "p99.9 to idle"], rows)
    moved = {l["algorithm"]: f"{int(l['objects_compacted']):,} objects compacted and "
             f"{int(l['objects_migrated']):,} migrated with {l['algorithm']}"
             for l in lines if l["load"] == "compaction"}
    report.print("  meanwhile: " + ", ".join(moved.values()))
    return lines


def run_nbd(args, report):
    rounds, milliseconds = (3, 500) if args.quick else (5, 1500)
    size = args.input.stat().st_size
    results = peers.measure(args.build, args.input, rounds, milliseconds)
    base = {name: peers.find(results, name) for name in ("null", "memory allocator=zstd")}

    def ratio(result, key, name):
        value, beside = result[key], base[name][key]
        return "-" if not value or not beside else f"{value / beside:.2f}"

    report.table("Through NBD, one connection over a Unix socket: copies (nbdcopy) in MiB/s, "
                 "memory in MiB",
                 ["", "in", "to zstd", "out", "to null", "resident", "of input", "payload"],
                 [(r["name"], number(r["copy_in"]), ratio(r, "copy_in", "memory allocator=zstd"),
                   number(r["copy_out"]), ratio(r, "copy_out", "null"),
                   number(r["held"] / MIB, 1), f"{r['held'] / size:.1%}",
                   number(r["payload"] and r["payload"] / MIB, 1)) for r in results])
    report.table("Random 4 KiB requests a second (reads: fio; writes: zcram-bench-nbd, pages of "
                 "the input)",
                 ["", "read QD1", "read QD16", "QD16 to null", "write QD1", "write QD16",
                  "QD16 to zstd"],
                 [(r["name"], number(r["read_1"]), number(r["read_16"]),
                   ratio(r, "read_16", "null"), number(r["write_1"]), number(r["write_16"]),
                   ratio(r, "write_16", "memory allocator=zstd")) for r in results])
    return results


def run_zram(args, report, memory):
    why = zram.unavailable()
    if why:
        report.print(f"\nKernel zram: left out: {why}")
        return []
    pages = {l["target_mib"]: int(l["pages"]) for l in memory
             if (l["algorithm"], l["filter"]) == ("lz4", "none")}
    pages = pages or {"input": args.input.stat().st_size // 4096}
    results = [result for count in pages.values()
               for result in zram.measure(args.build, args.input, count)]
    rows = [(f"{r['algorithm']} {r['phase']}", number(r["payload"] / MIB, 1),
             number(r["used"] / MIB, 1), f"{r['used'] / r['payload']:.4f}",
             f"{r['with_tables'] / r['payload']:.4f}", f"{r['seconds']:.3f}") for r in results]
    report.table("Kernel zram, the same pages, MiB (tables: 16 bytes a page and 8 an object, "
                 "which mm_stat leaves out)",
                 ["", "payload", "used", "used/payload", "with tables", "seconds"], rows)
    for r in (r for r in results if r["phase"] == "filled"):
        report.print(f"  {r['algorithm']}, {r['mib']:.0f} MiB: filled at "
                     f"{r['mib'] / r['seconds']:.0f} MiB/s; {r['read_iops']:,.0f} random reads and "
                     f"{r['write_iops']:,.0f} writes a second, 4 KiB, direct, no socket")
    return results


def goals(data):
    """What the project asks of itself: (what, measured, at least or at most, goal)."""
    rows = []
    for l in data["speed"]:
        if l["filter"] != "none" or l["op"] == "overwrite":
            continue
        what = f"engine to codec, {l['algorithm']}, {l['op']}, {int(l['block']) >> 10}K a call"
        if l["threads"] == "1":
            rows.append((what, float(l["engine_to_codec"]), ">=",
                         0.90 if l["op"] == "read" else 0.92))
        else:
            rows.append((what + ", two threads to one", float(l["engine_two_to_one"]), ">=", 1.8))
    for l in data["memory"]:
        what = f"held to payload, {l['algorithm']} {l['filter']}, {l['target_mib']} MiB"
        if l["phase"] == "fill":
            rows.append((what, float(l["held_to_payload"]), "<=",
                         1.035 if l["target_mib"] == "100" else 1.025))
        elif l["phase"] == "compact":
            rows.append((what + ", 75% trimmed", float(l["held_to_payload"]), "<=", 1.10))
    for l in data["cold"]:
        what = f"pages that go cold, {l['algorithm']}, then {cold_name(l)}"
        rows += [(what + ": memory saved", float(l["less"]), ">=", 0.25),
                 (what + ": CPU share", float(l["cpu_mean"]), "<=", float(l["cpu_budget"])),
                 (what + ": p99.9 of reads to that without",
                  float(l["p999_ns"]) / float(l["p999_ns_before"]), "<=", 2)]
        if l["store"] == "yes":
            rows.append((what + ": bytes written to payload",
                         int(l["backing_written"]) / int(l["written_back_payload"]), "<=", 1.05))
    rows += [(f"writeback to {r['where']} by {e['name']} to fio", e["to_fio"], ">=", 0.8)
             for r in data["store"] for e in r["engines"]]
    for l in data["latency"]:
        if l["load"] == "compaction":
            rows.append((f"p99.9 of reads beside compaction to idle, {l['algorithm']}",
                         float(l["p999_to_idle"]), "<=", 2))
    if data["nbd"]:
        null, slow, lz4, zstd = (peers.find(data["nbd"], name) for name in
                                 ("null", "memory allocator=zstd", "zcram lz4", "zcram zstd"))
        rows += [("NBD random reads QD16, lz4, to null", lz4["read_16"] / null["read_16"], ">=",
                  0.9),
                 ("NBD random writes QD16, lz4, to memory zstd",
                  lz4["write_16"] / slow["write_16"], ">=", 7),
                 ("nbdcopy in, zstd, to memory zstd", zstd["copy_in"] / slow["copy_in"], ">=",
                  1.4)]
    return rows


def print_goals(report, rows):
    report.table("What it is to reach",
                 ["", "measured", "", "goal", ""],
                 [(what, f"{value:.3f}", sign, f"{goal:g}",
                   "yes" if (value >= goal if sign == ">=" else value <= goal) else "NO")
                  for what, value, sign, goal in rows])


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SECTIONS)
    for name in ("build", "input", "results"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    return parser.parse_args()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every finally
    args = parse_arguments()
    report = Report()
    data = {section: [] for section in SECTIONS}
    data["machine"] = machine(args)
    data["input"] = args.input.stat().st_size
    for line in data["machine"]:
        report.print(line)

    for section in args.only or SECTIONS:
        run = globals()[f"run_{section}"]
        data[section] = run(args, report, data["memory"]) if section == "zram" else run(args,
                                                                                        report)
    rows = goals(data)
    if rows:
        print_goals(report, rows)

    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "report.txt").write_text("\n".join(report.lines) + "\n")
    (args.results / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    names = ["report.txt", "results.json"]
    if data["nbd"]:
        (args.results / "results.svg").write_text(plot.draw(data))
        names.append("results.svg")
    print(f"\nwritten to {args.results}: {', '.join(names)}")


if __name__ == "__main__":
    main()

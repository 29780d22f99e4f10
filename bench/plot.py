# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a run: python3 plot.py results.json > results.svg draws it again."""

import html
import json
import sys

ROW, BAR, LEFT, PANEL, GAP, TOP = 46, 15, 226, 250, 44, 128
INK, FAINT, GRID = "#1f2933", "#616e7c", "#e4e7eb"
PEER, PEER_LIGHT, OURS, OURS_LIGHT, MARK = "#7b8794", "#cbd2d9", "#0967d2", "#8bc4f5", "#de3618"
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"


def text(x, y, content, size=12, fill=INK, anchor="start", weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{fill}' {FONT} "
            f"text-anchor='{anchor}' font-weight='{weight}'>{html.escape(content)}</text>")


def rectangle(x, y, width, height, fill):
    return (f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 1):.1f}' height='{height:.1f}' "
            f"rx='2' fill='{fill}'/>")


def short(value):
    return f"{value / 1000:.0f}k" if value >= 10000 else f"{value:,.0f}"


def step(top):
    """A round distance of grid lines: 3 to 6 of them up to TOP."""
    scale = 10 ** (len(str(int(top))) - 1)
    return next(scale * n / 10 for n in (2, 5, 10, 20) if top / (scale * n / 10) <= 6)


def axis(x, rows, top, unit):
    distance, parts, at = step(top), [], 0
    while at <= top:
        line = x + at / top * PANEL
        parts.append(f"<line x1='{line:.1f}' y1='{TOP - 6}' x2='{line:.1f}' "
                     f"y2='{TOP + rows * ROW}' stroke='{GRID}'/>")
        label = f"{at:.0f}{unit}" if unit else short(at)
        parts.append(text(line, TOP + rows * ROW + 16, label, 10, FAINT, "middle"))
        at += distance
    return parts


def panel(number, title, notes, rows, empty, unit=""):
    """ROWS: for each row its bars, (value, colour), and where to set a mark, or None. A row without
    a bar says EMPTY instead."""
    x = LEFT + number * (PANEL + GAP)
    top = max((value for bars, _ in rows for value, _ in bars if value), default=1) * 1.16
    parts = [text(x, TOP - 38, title, 14, weight="bold"), *axis(x, len(rows), top, unit)]
    at = x
    for colour, note in notes:
        parts += [rectangle(at, TOP - 27, 3 if colour == MARK else 10, 10, colour),
                  text(at + 14, TOP - 18, note, 11, FAINT)]
        at += 30 + 6.6 * len(note)
    for i, (bars, mark) in enumerate(rows):
        y = TOP + i * ROW + (ROW - BAR * len(bars)) / 2
        if not bars:
            parts.append(text(x + 4, y + 4, empty, 11, FAINT))
        for value, colour in bars:
            width = value / top * PANEL
            label = f"{value:.1f}{unit}" if unit else short(value)
            parts += [rectangle(x, y, width, BAR - 1.5, colour),
                      text(x + width + 5, y + BAR - 4, label, 11)]
            y += BAR
        if mark is not None:
            parts.append(rectangle(x + mark / top * PANEL - 1.5, y - BAR - 4, 3, BAR + 6.5, MARK))
    return parts


def colours(name):
    return (OURS, OURS_LIGHT) if name.startswith("zcram") else (PEER, PEER_LIGHT)


def memory_rows(data, names):
    size, held = data["input"], {}
    for r in data["nbd"]:
        held[r["name"]] = (r["held"] / size * 100, r["payload"] and r["payload"] / size * 100)
    for r in data["zram"]:
        if r["phase"] == "filled":
            whole = r["mib"] * (1 << 20)
            held[f"kernel zram {r['algorithm']}"] = (r["with_tables"] / whole * 100,
                                                     r["payload"] / whole * 100)
    rows = []
    for name in names:
        bar, mark = held[name]
        rows.append(([(bar, colours(name)[0])] if name != "null" else [], mark))
    return rows


def pair_rows(data, names, first, second):
    by_name = {r["name"]: r for r in data["nbd"]}
    rows = []
    for name in names:
        dark, light = colours(name)
        result = by_name.get(name)
        rows.append(([(result[first], dark), (result[second], light)] if result else [], None))
    return rows


def draw(data):
    names = [r["name"] for r in data["nbd"]]
    kernel = list(dict.fromkeys(f"kernel zram {r['algorithm']}" for r in data["zram"]))
    every = names + kernel
    width, height = LEFT + 3 * PANEL + 3 * GAP, TOP + len(every) * ROW + 74
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
             f"width='{width}' height='{height}'>",
             f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
             text(24, 36, "zcram beside its peers: memory, requests and copies", 20,
                  weight="bold"),
             text(24, 58, f"{data['input'] / (1 << 20):.0f} MiB of the memory of real processes, "
                  "stored through NBD over a Unix socket by one client", 12, FAINT)]
    for i, name in enumerate(every):
        middle = TOP + i * ROW + ROW / 2
        if i % 2 == 0:
            parts.append(rectangle(16, TOP + i * ROW, width - 32, ROW, "#f7f9fb"))
        ours = name.startswith("zcram")
        label = name if ours or name in kernel else f"nbdkit {name}"
        parts.append(text(24, middle + 4, label, 12, weight="bold" if ours else "normal"))
    parts += panel(0, "Memory held, % of what is stored",
                   [(PEER, "held"), (MARK, "of this, payload")], memory_rows(data, every),
                   "stores nothing", "%")
    parts += panel(1, "Random 4 KiB, QD 16, requests/s", [(PEER, "read"), (PEER_LIGHT, "write")],
                   pair_rows(data, every, "read_16", "write_16"), "no NBD server")
    parts += panel(2, "nbdcopy, MiB/s", [(PEER, "in"), (PEER_LIGHT, "out")],
                   pair_rows(data, every, "copy_in", "copy_out"), "no NBD server")
    parts.append(text(24, height - 20, "  ·  ".join(data["machine"][:2]), 10, FAINT))
    return "\n".join(parts + ["</svg>"]) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1]) as source:
        sys.stdout.write(draw(json.load(source)))

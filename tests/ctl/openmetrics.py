# SPDX-License-Identifier: BSD-3-Clause
"""Check OpenMetrics text on standard input: what the specification says of what we use of it."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (\S+)$")
SUFFIX = {"counter": "_total", "gauge": "", "info": "_info"}


def check(text):
    assert text.endswith("\n# EOF\n"), "does not end in # EOF"
    families, samples, current = {}, set(), None
    for line in text.split("\n")[:-2]:
        if line.startswith("# "):
            _, keyword, name, rest = line.split(" ", 3)
            assert keyword in ("TYPE", "UNIT", "HELP"), line
            assert re.fullmatch(NAME, name), line
            if name != current:
                assert name not in families, f"{name} is not in one piece"
                families[name] = {}
                current = name
            assert keyword not in families[name], f"{line}: twice"
            families[name][keyword] = rest
            assert "samples" not in families[name], f"{line}: behind a sample"
            if keyword == "TYPE":
                assert rest in SUFFIX, line
            if keyword == "UNIT":
                assert name.endswith("_" + rest), line
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line}"
        family = families[current]
        assert match[1] == current + SUFFIX[family["TYPE"]], f"{line}: not of {current}"
        assert (match[1], match[2]) not in samples, f"{line}: twice"
        samples.add((match[1], match[2]))
        family["samples"] = True
        value = float(match[3])
        assert family["TYPE"] != "counter" or value >= 0, line
        assert family["TYPE"] != "info" or match[3] == "1", line
    for name, family in families.items():
        assert "TYPE" in family and "HELP" in family, f"{name}: no TYPE or HELP"
        assert not name.endswith(("_total", "_info")), name
    # Names of samples must not be those of other families.
    assert len({n for n, _ in samples}) == sum("samples" in f for f in families.values())
    assert samples, "no samples"


try:
    check(sys.stdin.read())
except AssertionError as error:
    sys.exit(f"openmetrics.py: {error}")

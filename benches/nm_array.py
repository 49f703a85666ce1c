"""Cycles and area of the N:M array, dense against sparse on the same array.

    python benches/nm_array.py [NERVURE] [--no-area]

builds one layer, activations [rows, K] times weights [K, outputs], int8, for dense
and sparse weights on an array of the same parameters, holds every build against the
golden model (`nervure build`: bits and cycles), and measures in Verilator

- array level: from the cycle in which the first word of weights comes out of its
  memory, nothing loaded before, to the cycle with the last window's last sums;
- block level: from the first beat of a tensor to the first beat of the next, which
  takes in and gives one phase after the other, 8 elements a beat in and 16 out.

Useful is the part of all multipliers in all array-level cycles that has a weight
that was kept. Area: Yosys, xc7, of all of the block, with its memories and sums; and
of a further column, as the difference of two builds.

NERVURE is the command, `nervure` unless given. Needs numpy and what `nervure doctor`
lists. Takes some minutes.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from common import progress  # noqa: E402
import numpy as np  # noqa: E402

PATTERNS = {"dense": (1, 1), "2:4": (2, 4), "4:8": (4, 8), "1:4": (1, 4), "2:8": (2, 8)}
# Name, rows of activations, K, outputs, slots of a column.
CASES = [
    ("64 x 64 x 64", 64, 64, 64, 16),
    ("128 x 128 x 128", 128, 128, 128, 16),
    ("MiniLM query, 32 x 384 x 384", 32, 384, 384, 16),
    ("EfficientNet b6, 196 x 480 x 80", 196, 480, 80, 12),
]
# Cycles of dense 16 x 16 arrays at 64 x 64 x 64 and 128 x 128 x 128, and lookup tables a multiplier, 16 x 16 on xc7 or xcup
# (registers are packed into multipliers on xc7 only): measured with the same tools before this project began.
PEERS = [("axis-systolic-array", 1072, 8240, "67.6 (xcup)"), ("Gemmini mesh", 1073, 8241, "296 (xc7)"),
         ("ACCEL BSR array", None, None, "35.1 (xc7)"), ("V18 2:4 slot", None, None, "137 (xc7)")]

WATCH = r"""
#include "V{top}.h"
#include "V{top}___024root.h"
#include <cstdio>
int main() {{
  V{top} top;
  long first = -1, last = -1, takes[2] = {{-1, -1}};
  int taken = 0;
  top.rst_n = 0;
  top.m_axis_array_tready = 1;
  top.s_axis_x_tvalid = 1;
  for (long cycle = -4; taken <= {beats}; cycle++) {{
    top.rst_n = cycle >= 0;
    top.s_axis_x_tlast = taken % {beats} == {beats} - 1;
    top.clk = 0;
    top.eval();
    if (cycle >= 0 && taken < {beats} + 1) {{
      if (first < 0 && (top.rootp->{path}loads_q & 1)) first = cycle;
      if (top.rootp->{path}valid_q >> {stage} & 1) last = cycle;
    }}
    if (cycle >= 0 && top.s_axis_x_tready && top.s_axis_x_tvalid) {{
      if (taken % {beats} == 0) takes[taken / {beats}] = cycle;
      taken++;
    }}
    top.clk = 1;
    top.eval();
  }}
  printf("%ld %ld\n", last - first + 1, takes[1] - takes[0]);
}}
"""


def weights(outputs, inputs, n, m, rng):
    """Random, the n largest of m consecutive inputs kept."""
    w = rng.integers(-127, 128, (outputs, inputs))
    blocks = w.reshape(outputs, inputs // m, m)
    rank = np.argsort(np.argsort(-np.abs(blocks), axis=2, kind="stable"), axis=2)
    return np.where(rank < n, blocks, 0).reshape(outputs, inputs)


def network(folder, rows, inputs, outputs, slots, pattern, choices, columns=16):
    n, m = pattern
    rng = np.random.default_rng(1)
    folder.mkdir()
    np.savez(folder / "weights.npz", w=weights(outputs, inputs, n, m, rng).astype(np.int32))
    np.savez(folder / "samples.npz", x=rng.integers(-128, 128, (2, rows, inputs)).astype(np.int32))
    (folder / "network.yaml").write_text(f"""nervure: 1
name: gemm
inputs:
  - {{name: x, shape: [{rows}, {inputs}], format: s8, rate: frame, lanes: {min(8, slots & -slots)}}}
layers:
  - name: array
    block: engine/nm_array
    rows: {slots}
    columns: {columns}
    choices: {choices}
    finish: {columns}
    weight_format: s8
    layers:
      - {{weights: "weights.npz:w", pattern: {{n: {n}, m: {m}}}}}
""")


def run(command, *args):
    done = subprocess.run([command, *map(str, args), "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def build(command, folder, *args):
    m = run(command, "build", folder, "--target", "xc7", "-o", f"{folder}.build", *args)
    v = m["verify"]
    assert v["mismatches"] == 0 and v["cycles_predicted"] == v["cycles_measured"], v
    return m


def watch(folder, beats):
    """Array-level and block-level cycles, as the emitted Verilog takes them."""
    rtl = Path(f"{folder}.build/rtl").resolve()
    text = (rtl / "gemm_array.v").read_text()
    at, spans = (int(re.search(rf"integer {name} = (\d+)", text)[1]) for name in ("SUM_AT", "SPANS"))
    main = Path(f"{folder}.cpp").resolve()
    main.write_text(WATCH.format(top="gemm", path="gemm__DOT__u_array__DOT__", stage=at + spans - 2, beats=beats))
    subprocess.run(["verilator", "--cc", "--exe", "--build", "-O1", "--public-flat-rw", "-Wno-fatal", "--top-module", "gemm",
                    "--Mdir", f"{folder}.obj", str(main), *map(str, rtl.glob("*.v"))],
                   check=True, stdout=subprocess.DEVNULL, cwd=rtl)
    done = subprocess.run([str(Path(f"{folder}.obj").resolve() / "Vgemm")], check=True, capture_output=True, text=True, cwd=rtl)
    return map(int, done.stdout.split())


def cycles(command, base):
    print("| case | pattern | array cycles | useful | over dense | of m / n | block cycles | over dense |")
    print("|---|---|---|---|---|---|---|---|")
    for number, (name, rows, inputs, outputs, slots) in enumerate(CASES):
        dense = None
        for pattern, (n, m) in PATTERNS.items():
            progress(f"{name}, {pattern} ...")
            folder = base / f"{number}_{n}_{m}"
            network(folder, rows, inputs, outputs, slots, (n, m), 8)
            build(command, folder, "--no-synth")
            array, block = watch(folder, rows * inputs // min(8, slots & -slots))
            dense = dense or (array, block)
            useful = rows * inputs * outputs * n / m / (slots * 16 * array)
            gain = dense[0] / array
            print(f"| {name} | {pattern} | {array} | {100 * useful:.1f} % | {gain:.3f} | {gain / (m / n):.4f} | "
                  f"{block} | {dense[1] / block:.2f} |", flush=True)
    print()
    print("Dense peers, 16 x 16, the same two sizes first:")
    print()
    print("| peer | 64 x 64 x 64 | 128 x 128 x 128 | LUT a multiplier |")
    print("|---|---|---|---|")
    for name, small, large, lut in PEERS:
        print(f"| {name} | {small or '-'} | {large or '-'} | {lut} |")


def area(command, base):
    print()
    print("| array | choices | LUT | a multiplier | a multiplier of a further column | flip-flops | DSP | block RAM |")
    print("|---|---|---|---|---|---|---|---|")
    for choices, pattern in ((2, "dense"), (4, "2:4"), (8, "2:8")):
        built = {}
        for columns in (8, 16):
            progress(f"area, {choices} choices, {columns} columns ...")
            folder = base / f"area_{choices}_{columns}"
            network(folder, 64, 64, 16, 16, PATTERNS[pattern], choices, columns)
            built[columns] = build(command, folder)["synth"]
        s = built[16]
        further = (s["lut"] - built[8]["lut"]) / 128
        print(f"| 16 x 16, {pattern} | {choices} | {s['lut']} | {s['lut'] / 256:.1f} | {further:.1f} | {s['ff']} | {s['dsp']} | "
              f"{s['bram']} |", flush=True)


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    command = str(Path(names[0]).resolve()) if names else "nervure"
    with tempfile.TemporaryDirectory() as folder:
        cycles(command, Path(folder))
        if "--no-area" not in sys.argv:
            area(command, Path(folder))


if __name__ == "__main__":
    main()

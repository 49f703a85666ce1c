"""Constant matrix products: ours beside da4ml 0.6.0, in one run.

    cargo build --release -p nervure-cmvm --example solve && python3 benches/benches/cmvm.py

da4ml comes by pip into an environment of its own below Cargo's target folder. The matrices are those of numpy's generator of
seed 0, drawn in this order; inputs have 8 bits and a sign. Both run in turns and the least time of several runs counts;
ours has as many levels as da4ml's answer, and as much work as fits into a tenth of its time (row `tenth`), then 1 s
with all cores, and 10 s and 60 s for the largest. Yosys' figures are of combinational circuits, both written as Verilog.

Arguments: `--short` leaves out 10 s and 60 s.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[2] / "target"))
SIZES = [(16, 4), (16, 6), (16, 8), (32, 6), (64, 4), (64, 6), (64, 8)]
FLOW = "synth_xilinx -family xc7 -nodsp -flatten -noiopad -noclkbuf"
SHORT = "--short" in sys.argv
CORES = os.cpu_count()


def environment():
    """Runs this script again in an environment with da4ml."""
    folder = TARGET / "da4ml"
    python = folder / "bin/python"
    works = [str(python), "-c", "import numpy, da4ml"]
    if not python.exists() or subprocess.run(works, stderr=subprocess.DEVNULL).returncode:
        print(f"Installing da4ml below {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "da4ml==0.6.0"], check=True)
    os.execv(python, [str(python), *sys.argv, "--inside"])


class Ours:
    """Our example program, which answers a line with a line."""

    def __init__(self):
        program = TARGET / "release/examples/solve"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([program], **pipes)

    def solve(self, weights, **options):
        question = {"weights": weights.tolist(), "threads": CORES, "cost": "adders", **options}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Theirs:
    def __init__(self, weights):
        from da4ml.cmvm import solve

        weights = weights.astype("float32")
        self.weights = weights
        self.run = lambda: solve(weights)
        self.seconds = float("inf")
        self.solution = None

    def time(self):
        start = time.perf_counter()
        self.solution = self.run()
        self.seconds = min(self.seconds, time.perf_counter() - start)

    def adders(self):
        return sum(op.opcode in (0, 1) for stage in self.solution.solutions for op in stage.ops)

    def depth(self):
        """Adders on the longest way, through both stages."""
        depth = None
        for stage in self.solution.solutions:
            depths = []
            for op in stage.ops:
                if op.opcode == -1:
                    depths.append(0 if depth is None else depth[op.id0])
                else:
                    assert op.opcode in (0, 1), op
                    depths.append(1 + max(depths[op.id0], depths[op.id1]))
            depth = [depths[i] if i >= 0 else 0 for i in stage.out_idxs]
        return max(depth)

    def verilog(self, folder):
        """Their own Verilog for inputs of 8 bits and a sign, combinational: its files and the name of its module."""
        from da4ml.codegen import VerilogModel
        from da4ml.trace import FixedVariableArrayInput, comb_trace

        inputs = FixedVariableArrayInput(self.weights.shape[0])
        comb = comb_trace(inputs, inputs.quantize(1, 7, 0) @ self.weights)
        model = VerilogModel(comb, "theirs", folder, latency_cutoff=-1, print_latency=False)
        model.write()
        used = [f for f in Path(folder).rglob("*.v") if f.stem not in ("lookup_table", "theirs_wrapper")]
        return sorted(used), "theirs"


def width(lo, hi):
    return max(max((v if v >= 0 else ~v).bit_length() for v in (lo, hi)) + (lo < 0), 1)


def verilog(graph, inputs):
    """The graph as Verilog. Operands are extended by hand, so that Yosys does not merge chains of adders."""
    nodes = graph["nodes"]

    def field(n, bits, drop=0):
        """`bits` bits of node n without its low `drop` bits."""
        lo, hi = nodes[n][:2]
        own = width(lo, hi)
        if drop >= own:
            return f"{{{bits}{{n{n}[{own - 1}]}}}}" if lo < 0 else f"{bits}'d0"
        extra = bits - (own - drop)
        if extra < 0:
            return f"n{n}[{drop + bits - 1}:{drop}]"
        body = f"n{n}[{own - 1}:{drop}]" if drop else f"n{n}"
        if extra == 0:
            return body
        return f"{{{{{extra}{{n{n}[{own - 1}]}}}}, {body}}}" if lo < 0 else f"{{{extra}'d0, {body}}}"

    def shifted(n, bits, shift):
        if shift == 0:
            return field(n, bits)
        return f"{{{field(n, bits - shift)}, {shift}'d0}}" if bits > shift else f"{bits}'d0"

    ports, body = [], []
    for i, node in enumerate(nodes):
        bits = width(*node[:2])
        if i < inputs:
            ports.append(f"input wire [{bits - 1}:0] n{i}")
            continue
        left, ls, right, rs, minus = node[2:]
        sign, shift = "-+"[not minus], max(ls, rs)
        # Bits below the other operand pass by.
        if shift and bits > shift and (rs or not minus):
            low = left if rs else right
            high = [field(left, bits - shift, rs), field(right, bits - shift, ls)]
            body.append(f"wire [{bits - shift - 1}:0] h{i} = {high[0]} {sign} {high[1]};")
            body.append(f"wire [{bits - 1}:0] n{i} = {{h{i}, {field(low, shift)}}};")
        else:
            body.append(f"wire [{bits - 1}:0] n{i} = {shifted(left, bits, ls)} {sign} {shifted(right, bits, rs)};")
    for j, tap in enumerate(graph["taps"]):
        if tap is None:
            ports.append(f"output wire y{j}")
            body.append(f"assign y{j} = 1'b0;")
            continue
        node, shift, minus = tap
        lo, hi = sorted((-1 if minus else 1) * (v << shift) for v in nodes[node][:2])
        bits = max(width(lo, hi), shift + 1)
        ports.append(f"output wire [{bits - 1}:0] y{j}")
        body.append(f"assign y{j} = {'-' if minus else ''}{shifted(node, bits, shift)};")
    return "module ours (\n  " + ",\n  ".join(ports) + "\n);\n  " + "\n  ".join(body) + "\nendmodule\n"


def cells(files, top):
    """Estimated logic cells, and carry cells."""
    script = "".join(f"read_verilog {f}; " for f in files) + f"{FLOW} -top {top}; stat"
    out = subprocess.run(["yosys", "-p", script], capture_output=True, text=True).stdout
    number = lambda pattern: int(re.findall(pattern, out)[-1])
    return number(r"Estimated number of LCs:\s+(\d+)"), number(r"CARRY4\s+(\d+)")


def main():
    import numpy as np

    rng = np.random.default_rng(0)
    ours = Ours()
    print(f"{CORES} cores; da4ml 0.6.0, solve(W); least times of 5 runs in turns")
    print("matrix     way        adders  ratio   bits  depth  seconds  of theirs | cells  ratio  CARRY4")
    for n, bits in SIZES:
        weights = rng.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), (n, n))
        # Canonical digits, and the levels that adding them up needs.
        digits = lambda w: (abs(int(w)) ^ 3 * abs(int(w))).bit_count()
        fewest = (max(sum(map(digits, column)) for column in weights.T) - 1).bit_length()
        theirs = Theirs(weights)
        theirs.time()
        levels = {"extra_levels": theirs.depth() - fewest}
        # As much effort as fits: halved until it does.
        effort = int(theirs.seconds * 1e5 * CORES)
        while True:
            tenth = ours.solve(weights, effort=effort, repeat=5, **levels)
            for _ in range(4 if n < 64 else 1):
                theirs.time()
            if tenth["seconds"] <= theirs.seconds / 10 or effort == 0:
                break
            effort = effort // 2 if effort > 100 else 0
        rows = {"tenth": tenth}
        for seconds in [1, 10, 60] if (n, bits) == (64, 8) and not SHORT else [1]:
            rows[f"{seconds} s"] = ours.solve(weights, effort=seconds * CORES * 1_000_000, **levels)
        if n < 64:
            rows["1 s, bits"] = ours.solve(weights, effort=CORES * 1_000_000, cost="bits", **levels)
        with tempfile.TemporaryDirectory() as folder:
            synth = lambda files, top: cells(files, top) if n < 64 else None
            base = synth(*theirs.verilog(folder)) if n < 64 else None
            head = f"{n}x{n} {bits}-bit"
            show(head, "da4ml", theirs.adders(), theirs.depth(), theirs.seconds, theirs, None, base, base)
            for way, graph in rows.items():
                path = Path(folder) / "ours.v"
                path.write_text(verilog(graph, n))
                mine = synth([path], "ours")
                show(head, way, graph["adders"], graph["depth"], graph["seconds"], theirs, graph, mine, base)


def show(head, way, adders, depth, seconds, theirs, graph, mine, base):
    line = f"{head:10} {way:10} {adders:6} {adders / theirs.adders():6.3f} {graph['bits'] if graph else '':>6} {depth:6}"
    line += f" {seconds:8.4f} {seconds / theirs.seconds:10.2f}"
    if mine:
        line += f" | {mine[0]:5} {mine[0] / base[0]:6.3f} {mine[1]:7}"
    print(line, flush=True)


if __name__ == "__main__":
    main() if "--inside" in sys.argv else environment()

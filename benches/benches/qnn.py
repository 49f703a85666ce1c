"""Quantized networks: ours beside da4ml 0.6.0, in one run.

    cargo build --release -p nervure-benches --bin qnn_case && python3 benches/benches/qnn.py CASES [NAME ...]

CASES is a folder of `qnn-case/1` files; without names all of them run. Both are unrolled, one inference a clock, and written as
Verilog for one clock target: ours is scheduled for 200 MHz, da4ml for its delay model's 5 ns. da4ml comes by pip into an
environment of its own below Cargo's target folder. It has no rounding of ties to even: where a case asks for that, da4ml rounds
half up, which is less logic (marked `~`). Yosys' figures are of the whole modules: ours with its stream handshake.
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
PROFILE = os.environ.get("NERVURE_PROFILE", "release")
FLOW = "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -nobram"
MHZ = 200
INSIDE = "--inside" in sys.argv
WORDS = [word for word in sys.argv[1:] if word != "--inside"]


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


def ours(path, folder):
    """Our figures, and our Verilog."""
    program = TARGET / PROFILE / "qnn_case"
    out = subprocess.run([program, path, folder, str(MHZ)], capture_output=True, text=True, check=True).stdout
    figures = json.loads(out)
    return figures, sorted(Path(folder).glob("rtl/*.v")), figures["top"]


def scaled(tensor):
    """Integers and their fraction as numbers."""
    import numpy as np

    data = np.array(tensor["data"], dtype=np.float64)
    return data.reshape(tensor.get("shape", data.shape)) * 2.0 ** -tensor["frac"]


def convolution(x, layer):
    """Two-dimensional, as one product for each place."""
    import numpy as np

    weights = scaled(layer["weight"])
    rows, columns, _, outputs = weights.shape
    (top, bottom), (left, right) = layer["pad"]
    down, across = layer["stride"]
    height = (x.shape[0] + top + bottom - rows) // down + 1
    width = (x.shape[1] + left + right - columns) // across + 1
    places = []
    for i in range(height):
        for j in range(width):
            taps = [(i * down + a - top, j * across + b - left, a, b) for a in range(rows) for b in range(columns)]
            taps = [t for t in taps if 0 <= t[0] < x.shape[0] and 0 <= t[1] < x.shape[1]]
            window = x[[t[0] for t in taps], [t[1] for t in taps]].reshape(-1)
            places.append(window @ np.concatenate([weights[t[2], t[3]] for t in taps]).astype("float32"))
    return np.stack(places).reshape(height, width, outputs)


def theirs(case, folder):
    """Their figures, and their Verilog."""
    import numpy as np
    from da4ml.codegen import VerilogModel
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    start = time.perf_counter()
    half_up = False
    port = case["input"]
    elements = int(np.prod(port["shape"]))
    each = lambda field: np.broadcast_to(np.asarray(port[field], dtype=np.int64), (elements,)).copy()
    bits, frac, signed = each("bits"), each("frac"), each("signed")
    if port.get("active") is not None:
        bits[np.setdiff1d(np.arange(elements), port["active"])] = 0
    used = bits > 0
    x = FixedVariableArrayInput(elements)
    x = x.quantize(np.where(used, signed, 0), np.where(used, bits - frac - signed, 0), np.where(used, frac, 0))
    y = x.reshape(tuple(port["shape"]))
    for layer in case["layers"]:
        op = layer["op"]
        if op == "dense":
            y = y @ scaled(layer["weight"]).astype("float32")
        elif op == "conv2d":
            y = convolution(y, layer)
        elif op == "relu":
            y = y.relu()
        elif op == "flatten":
            y = y.reshape(-1)
        elif op == "quant":
            rounding = layer["rounding"]
            if rounding == "RND_CONV":
                rounding, half_up = "RND", True
            sign = int(layer["signed"])
            whole = layer["bits"] - layer["frac"] - sign
            y = y.quantize(sign, whole, layer["frac"], layer["overflow"], rounding)
        else:
            raise ValueError(f"`{op}` is not known")
        if layer.get("bias"):
            y = y + scaled(layer["bias"])
    comb = comb_trace(x, y)
    VerilogModel(comb, "theirs", folder, latency_cutoff=1000 / MHZ, clock_period=1000 / MHZ, print_latency=False).write()
    seconds = time.perf_counter() - start
    files = [f for f in Path(folder).rglob("*.v") if f.stem not in ("lookup_table", "theirs_wrapper")]
    adders = sum(o.opcode in (0, 1) for o in comb.ops)
    stages = sum(f.stem.startswith("theirs_stage") for f in files)
    figures = {"adders": adders, "stages": stages, "seconds": seconds, "half_up": half_up}
    return figures, sorted(files), "theirs"


def synthesised(figures, files, top):
    """The figures with those of Yosys."""
    script = "".join(f"read_verilog {f}; " for f in files) + f"{FLOW} -top {top}; stat"
    run = subprocess.run(["yosys", "-p", script], capture_output=True, text=True, check=True)
    stat = run.stdout[run.stdout.rindex("Number of cells:") :]
    count = lambda pattern: sum(map(int, re.findall(rf"^\s+{pattern}\s+(\d+)$", stat, re.M)))
    estimate = int(re.findall(r"Estimated number of LCs:\s+(\d+)", run.stdout)[-1])
    cells = {"cells": estimate, "luts": count(r"LUT\d"), "carries": count(r"CARRY\d"), "flipflops": count(r"FD[RSCP]E")}
    return figures | cells


def main():
    print(f"da4ml 0.6.0, Yosys `{FLOW}`, {MHZ} MHz, {os.cpu_count()} cores")
    print("case                    who     adders  cells    luts  carries  flipflops  stages  seconds | cells, ratio")
    folder = Path(WORDS[0])
    names = WORDS[1:] or sorted(path.stem for path in folder.glob("*.json"))
    for name in names:
        path = folder / f"{name}.json"
        case = json.loads(path.read_text())
        with tempfile.TemporaryDirectory() as scratch:
            mine = synthesised(*ours(path, f"{scratch}/ours"))
            base = synthesised(*theirs(case, f"{scratch}/theirs"))
        for who, f in [("da4ml" + "~" * base["half_up"], base), ("ours", mine)]:
            line = f"{name:23} {who:7} {f['adders']:6} {f['cells']:6} {f['luts']:7} {f['carries']:8} {f['flipflops']:10}"
            print(f"{line} {f['stages']:7} {f['seconds']:8.2f} | {f['cells'] / base['cells']:.3f}", flush=True)


if __name__ == "__main__":
    if not WORDS:
        sys.exit(__doc__)
    main() if INSIDE else environment()

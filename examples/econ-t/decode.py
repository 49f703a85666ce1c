"""Judge the encoder of this example: decode its codes and compare with two baselines of the same 96 bits an event.

    python examples/econ-t/decode.py [CODES.npz]

CODES.npz is what `nervure run examples/econ-t -o CODES.npz` writes for
samples.npz; without it, 10,000 fresh events are encoded here, in integers.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
from showers import CENTRE, INDEX, charges, normalised  # noqa: E402
from train import CODE, decoder, reference  # noqa: E402

EVENTS, SEED = 10000, 3
BITS = 16 * 6


def shares(x):
    return x.reshape(len(x), -1)[:, INDEX] / 256.0


def decoded(code):
    """Shares of 48 cells from codes; no share is negative, and they sum to one."""
    p = {k: v.astype(np.float64) for k, v in np.load(HERE / "decoder.npz").items()}
    y = np.maximum(decoder(code / 2.0 ** CODE, p)[1], 0)
    return y / np.maximum(y.sum(1, keepdims=True), 1e-9)


def thresholded(x):
    """The eight largest cells: 6 bits of address and 6 of value each."""
    least = np.sort(x, axis=1)[:, -8:-7]
    kept = np.where((x >= least) & (np.cumsum(x >= least, axis=1) <= 8), x, 0)
    return np.floor(kept * 64) / 64 + np.where(kept > 0, 1 / 128, 0)


def super_cells(x):
    """Twelve sums of 2x2 cells, 8 bits each, shared out evenly."""
    group = (INDEX // 16) * 4 + INDEX % 8 // 2
    y = np.empty_like(x)
    for g in np.unique(group):
        own = group == g
        y[:, own] = x[:, own].sum(1, keepdims=True) / own.sum()
    return y


def mover(x, y, directions=12):
    """How far energy has to move, in cells: the mean over directions of the one-dimensional distance, times pi / 2."""
    x, y = (v / v.sum(1, keepdims=True) for v in (x, np.maximum(y, 1e-12)))
    total = 0.0
    for angle in np.pi * np.arange(directions) / directions:
        at = CENTRE @ np.array([np.cos(angle), np.sin(angle)])
        order = np.argsort(at)
        excess = np.cumsum((x - y)[:, order], axis=1)[:, :-1]
        total += np.abs(excess) @ np.diff(at[order])
    return total / directions * np.pi / 2


def report(name, x, y):
    rms = np.sqrt(((x - y) ** 2).sum() / (x ** 2).sum())
    print(f"{name:<34} relative RMS error per cell {rms:.3f}, energy moved {mover(x, y).mean():.3f} cells")


def main():
    if len(sys.argv) > 1:
        events = np.load(HERE / "samples.npz")["x"]
        codes = next(iter(np.load(sys.argv[1]).values())).reshape(len(events), -1)
    else:
        events = normalised(charges(EVENTS, SEED))
        codes = reference(events, dict(np.load(HERE / "weights.npz")))
    x = shares(events)
    print(f"{len(events)} events, {BITS} bits each")
    report("encoder", x, decoded(codes))
    report("eight largest cells", x, thresholded(x))
    report("sums of 2x2 cells", x, super_cells(x))


if __name__ == "__main__":
    main()

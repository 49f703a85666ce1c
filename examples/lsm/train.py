"""Train lsm: the linear read-out of a reservoir whose weights come from a hash.

Only the read-out is trained, by ridge regression on spike counts.  The reservoir is
modelled here from the formulas of templates/engine/reservoir/README.md.

    python train.py             train, write weights.npz and samples.npz, report
    python train.py --check     evaluate the weights.npz that is there
    python train.py --holdout   tuning: keep 360 training images out, report on them
    python train.py --compare   the same without synapses between neurons, and ridge on pixels
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from common import digits_split, int_range, save_npz  # noqa: E402

import numpy as np  # noqa: E402

# As in network.yaml.
INPUTS, NEURONS, SEED = 16, 256, 1
DENSITY, RECURRENT_DENSITY, POSITIVE = 128, 26, 100
MAGNITUDE_BITS, INPUT_SHIFT, RECURRENT_SHIFT = 2, 2, 0
THRESHOLD, LEAK, MEMBRANE, WEIGHTS = 8, 3, "s12", "s8"

STEPS_A_ROW = 4
PENALTY = 20.0


def rotl(x, n):
    return (x << np.uint32(n)) | (x >> np.uint32(32 - n))


def mix(x):
    return np.uint32(0x9e3779b9) ^ x ^ rotl(x, 7) ^ rotl(x, 18) ^ (rotl(x, 12) & rotl(x, 27))


def synapses(recurrent_density=RECURRENT_DENSITY):
    """Weights [inputs + neurons, neurons]."""
    source = np.arange(INPUTS + NEURONS, dtype=np.uint32)[:, None]
    neuron = np.arange(NEURONS, dtype=np.uint32)[None]
    h = mix(mix(np.uint32(SEED) ^ source * np.uint32(0x10001)))
    h = mix(mix(mix(h ^ neuron * np.uint32(0x10001)))).astype(np.int64)
    own = source >= INPUTS
    size = 1 + (h >> 16 & (1 << MAGNITUDE_BITS) - 1)
    size = size << np.where(own, RECURRENT_SHIFT, INPUT_SHIFT)
    weight = np.where((h >> 8 & 255) >= POSITIVE, -size, size)
    return np.where((h & 255) < np.where(own, recurrent_density, DENSITY), weight, 0)


def encode(images):
    """Pixels [count, 64] as spikes [count, steps, inputs]; see network.yaml."""
    square = images.reshape(-1, 8, 8)
    both = np.concatenate([square, square.transpose(0, 2, 1)], axis=2)
    spikes = np.zeros((len(images), 8 * STEPS_A_ROW, INPUTS), np.uint8)
    for row in range(8):
        acc = np.full((len(images), INPUTS), 8)
        for i in range(STEPS_A_ROW):
            acc = acc + both[:, row]
            spikes[:, row * STEPS_A_ROW + i] = acc >= 16
            acc = acc - 16 * (acc >= 16)
    return spikes


def liquid(spikes, weights):
    """Spike counts [count, neurons] of the reservoir."""
    # Products of integers this small are exact in float32, and faster.
    weights = weights.astype(np.float32)
    v = np.zeros((len(spikes), NEURONS), np.int64)
    own = np.zeros_like(v)
    counts = np.zeros_like(v)
    for t in range(spikes.shape[1]):
        both = np.concatenate([spikes[:, t], own], axis=1).astype(np.float32)
        v = np.clip(v + (both @ weights).astype(np.int64), *int_range(MEMBRANE))
        own = (v > THRESHOLD).astype(np.int64)
        counts += own
        v = np.where(own == 1, 0, v)
        v = v - (v >> LEAK)
    return counts


def ridge(features, label):
    """Float weights and biases of a linear read-out, by least squares with a penalty."""
    a = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    y = 2.0 * np.eye(10)[label] - 1
    w = np.linalg.solve(a.T @ a + PENALTY * np.eye(a.shape[1]), a.T @ y)
    return w[:-1].T, w[-1]


def quantized(weights, bias):
    scale = int_range(WEIGHTS)[1] / np.abs(weights).max()
    return {"out": np.round(weights * scale).astype(np.int64),
            "bias": np.round(bias * scale).astype(np.int64)}


def report(name, features, label, out, bias):
    right = int(((features @ out.T + bias).argmax(axis=1) == label).sum())
    print(f"{name}: accuracy {right / len(label):.4f} ({right} of {len(label)})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("check", "holdout", "compare"):
        parser.add_argument(f"--{name}", action="store_true")
    args = parser.parse_args()
    images, labels, test_images, test_labels = digits_split()
    if args.holdout:
        test_images, test_labels = images[-360:], labels[-360:]
        images, labels = images[:-360], labels[:-360]
    if args.compare:
        report("pixels", test_images, test_labels, *ridge(images, labels))
        alone = synapses(recurrent_density=0)
        readout = quantized(*ridge(liquid(encode(images), alone), labels))
        report("no synapses between neurons", liquid(encode(test_images), alone),
               test_labels, **readout)
        return
    spikes = encode(test_images)
    counts = liquid(spikes, synapses())
    if args.check:
        with np.load(HERE / "weights.npz") as file:
            readout = {k: file[k].astype(np.int64) for k in file}
    else:
        known = liquid(encode(images), synapses())
        weights = ridge(known, labels)
        report("held out, float read-out", counts, test_labels, *weights)
        readout = quantized(*weights)
        report("trained on", known, labels, **readout)
    report("held out", counts, test_labels, **readout)
    print(f"spikes a step: input {spikes.mean() * INPUTS:.2f}, "
          f"reservoir {counts.mean() * NEURONS / spikes.shape[1]:.2f}")
    if not (args.check or args.holdout):
        save_npz(HERE / "weights.npz", **readout)
        save_npz(HERE / "samples.npz", x=spikes, label=test_labels)


if __name__ == "__main__":
    main()

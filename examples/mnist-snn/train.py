"""Train the 784-128-10 spiking network of this example.

    python examples/mnist-snn/train.py

writes weights.npz and samples.npz beside this file and prints the accuracy
of the integer model.  See README.md for the definitions.

How it trains: the forward pass IS the integer model (float32 holds every
integer exactly here), with weights round(w) clamped to the weight format;
the backward pass is back-propagation through time with a surrogate for the
derivative of the spike and the straight-through estimator for rounding.
"""

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (Adam, cosine, int_range, mnist, progress, save_npz,  # noqa: E402
                    softmax_cross_entropy)
import numpy as np  # noqa: E402

# The network -------------------------------------------------------------
STEPS = 16                      # time steps per image
FULL = 510                      # pixel sum per spike: white fires every 2nd step
HIDDEN, CLASSES = 128, 10
WEIGHT_FORMAT = "s4"
MEMBRANE_FORMAT = "s12"
LEAK_SHIFT = 4
THRESHOLD = {"hidden": 56, "out": 32}     # spike when v is greater
SAMPLES = 1000                  # shipped test images

# The training ------------------------------------------------------------
SEED = 7
EPOCHS = 24
BATCH = 100
RATE = {"hidden": 0.06, "out": 0.03}    # start, in units of one weight step
RATE_END = 0.01                 # fraction of the start rate at the end
LOGIT_GAIN = 2.0                # logits = LOGIT_GAIN * spike counts
SURROGATE_WIDTH = 0.3           # width of 1 / (1 + |x| / width)^2, in thresholds
DECAY = 2e-5                    # pull of weights to zero, fraction per batch


# --------------------------------------------------------------------------
# Input coding (integers): error diffusion, one accumulator per pixel
# --------------------------------------------------------------------------

def phases():
    """Start of each pixel's accumulator, 0..FULL-1, spread over the pixels.

    The fractional part of a multiple of the golden ratio, in integers, so that
    neighbouring pixels do not fire in the same step.
    """
    index = np.arange(784, dtype=np.int64)
    return (((index * 40503) % 65536) * FULL) >> 16


PHASES = phases()


def encode(images, dtype=np.uint8):
    """uint8 images [n, 784] -> spikes 0/1, time first: [STEPS, n, 784]."""
    acc = np.broadcast_to(PHASES.astype(np.int16), images.shape).copy()
    pixels = images.astype(np.int16)
    spikes = np.empty((STEPS,) + images.shape, dtype)
    for t in range(STEPS):
        acc += pixels
        fire = acc >= FULL
        spikes[t] = fire
        acc -= fire * np.int16(FULL)
    return spikes


# --------------------------------------------------------------------------
# Reference inference, integers only
# --------------------------------------------------------------------------

def lif_reference(spikes, weights, threshold):
    """One layer: spikes [T, n, in] (0/1) -> (spikes [T, n, out], extremes)."""
    low, high = int_range(MEMBRANE_FORMAT)
    weights = weights.astype(np.int32).T
    v = np.zeros((spikes.shape[1], weights.shape[1]), np.int32)
    out = np.empty(spikes.shape[:2] + (weights.shape[1],), np.uint8)
    extremes = [0, 0]
    for t in range(len(spikes)):
        current = spikes[t].astype(np.int32) @ weights
        v = v - (v >> LEAK_SHIFT) + current
        extremes = [min(extremes[0], int(v.min())), max(extremes[1], int(v.max()))]
        v = np.clip(v, low, high)
        fire = v > threshold
        v[fire] = 0
        out[t] = fire
    return out, extremes


def reference(spikes, weights):
    """Class of each sample, and the layers' spikes and membrane extremes."""
    hidden, range_hidden = lif_reference(spikes, weights["hidden"], THRESHOLD["hidden"])
    out, range_out = lif_reference(hidden, weights["out"], THRESHOLD["out"])
    counts = out.astype(np.int32).sum(axis=0)
    return counts.argmax(axis=1), hidden, out, range_hidden, range_out


# --------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------

def quantize(w):
    if WEIGHT_FORMAT == "float":
        return w
    low, high = int_range(WEIGHT_FORMAT)
    return np.clip(np.round(w), low, high)


def lif_forward(current, threshold):
    """The integer neuron on float32 integers; also keeps v before reset.

    In the float network: exact leak and no saturation.
    """
    exact = WEIGHT_FORMAT == "float"
    low, high = int_range(MEMBRANE_FORMAT)
    v = np.zeros_like(current[0])
    before = np.empty_like(current)
    spikes = np.empty_like(current)
    for t in range(len(current)):
        leak = v * np.float32(1 / 2 ** LEAK_SHIFT)
        v = v - (leak if exact else np.floor(leak))
        v += current[t]
        if not exact:
            np.clip(v, low, high, out=v)
        before[t] = v
        np.greater(v, threshold, out=spikes[t], casting="unsafe")
        v = v * (1 - spikes[t])
    return spikes, before


def lif_backward(grad_spikes, spikes, before, threshold):
    """Gradient of the currents; the reset itself is not differentiated."""
    width = np.float32(SURROGATE_WIDTH * threshold)
    grad = np.abs(before - np.float32(threshold + 0.5))
    grad = np.float32(1) / np.square(1 + grad / width) / width
    grad *= grad_spikes
    keep = np.float32(1 - 2.0 ** -LEAK_SHIFT)
    for t in range(len(grad) - 2, -1, -1):
        grad[t] += keep * grad[t + 1] * (1 - spikes[t])
    return grad


def forward(flat, q):
    """Both layers, from the spikes of all steps, [STEPS * batch, 784]."""
    s1, v1 = lif_forward((flat @ q["hidden"].T).reshape(STEPS, -1, HIDDEN),
                         THRESHOLD["hidden"])
    s2, v2 = lif_forward((s1.reshape(-1, HIDDEN) @ q["out"].T).reshape(STEPS, -1, CLASSES),
                         THRESHOLD["out"])
    return s1, v1, s2, v2


def augment(images, rng):
    """Shift every image by -1, 0 or 1 pixel each way."""
    square = np.zeros((len(images), 30, 30), np.uint8)
    square[:, 1:29, 1:29] = images.reshape(-1, 28, 28)
    windows = np.lib.stride_tricks.sliding_window_view(square, (28, 28), (1, 2))
    dy, dx = rng.integers(0, 3, (2, len(images)))
    return windows[np.arange(len(images)), dy, dx].reshape(-1, 784)


def train(images, labels):
    rng = np.random.default_rng(SEED)
    w = {"hidden": rng.normal(0, 1.3, (HIDDEN, 784)).astype(np.float32),
         "out": rng.normal(0, 2.0, (CLASSES, HIDDEN)).astype(np.float32)}
    # A pixel that is black in (nearly) all images learns nothing: weight 0.
    w["hidden"] *= (images > 0).mean(axis=0) > 0.001
    exact = WEIGHT_FORMAT == "float"
    low, high = (-np.inf, np.inf) if exact else int_range(WEIGHT_FORMAT)
    adam = Adam(w)
    batches = len(images) // BATCH
    done = 0
    for epoch in range(EPOCHS):
        start = time.time()
        order = rng.permutation(len(images))
        right = hidden_spikes = 0
        total = 0.0
        for b in range(batches):
            pick = order[b * BATCH:(b + 1) * BATCH]
            label = labels[pick].astype(np.int64)
            x = encode(augment(images[pick], rng), np.float32)
            flat = x.reshape(-1, 784)
            q = {k: quantize(v) for k, v in w.items()}
            s1, v1, s2, v2 = forward(flat, q)
            counts = s2.sum(axis=0)
            loss, grad = softmax_cross_entropy(LOGIT_GAIN * counts, label)
            right += (counts.argmax(axis=1) == label).sum()
            total += loss
            hidden_spikes += s1.mean()
            grad = np.broadcast_to((LOGIT_GAIN * grad).astype(np.float32), s2.shape)
            g2 = lif_backward(grad, s2, v2, THRESHOLD["out"]).reshape(-1, CLASSES)
            gs1 = (g2 @ q["out"]).reshape(s1.shape)
            g1 = lif_backward(gs1, s1, v1, THRESHOLD["hidden"]).reshape(-1, HIDDEN)
            factor = cosine(done, EPOCHS * batches, 1.0, RATE_END)
            adam.step({"hidden": g1.T @ flat, "out": g2.T @ s1.reshape(-1, HIDDEN)},
                      {k: np.float32(r * factor) for k, r in RATE.items()})
            for v in w.values():
                v *= np.float32(1 - DECAY * factor)
                np.clip(v, low - 0.49, high + 0.49, out=v)
            done += 1
        progress(f"epoch {epoch + 1:2d}/{EPOCHS}: loss {total / batches:.4f}, "
                 f"training accuracy {right / (batches * BATCH):.4f}, "
                 f"hidden spikes per step {HIDDEN * hidden_spikes / batches:.1f}, "
                 f"{time.time() - start:.0f} s")
    return w if exact else {k: quantize(v).astype(np.int8) for k, v in w.items()}


def float_report(name, images, labels, weights):
    right = 0
    for at in range(0, len(images), 1000):
        flat = encode(images[at:at + 1000], np.float32).reshape(-1, 784)
        counts = forward(flat, weights)[2].sum(axis=0)
        right += int((counts.argmax(axis=1) == labels[at:at + 1000]).sum())
    print(f"{name}: float accuracy {right / len(images):.4f} ({right} of {len(images)})")


def report(name, images, labels, weights):
    right, extremes, hits = 0, [0, 0, 0, 0], np.zeros(3)
    for at in range(0, len(images), 1000):
        spikes = encode(images[at:at + 1000])
        guess, hidden, out, e1, e2 = reference(spikes, weights)
        right += int((guess == labels[at:at + 1000]).sum())
        hits += [spikes.sum(), hidden.sum(), out.sum()]
        extremes = [min(extremes[0], e1[0]), max(extremes[1], e1[1]),
                    min(extremes[2], e2[0]), max(extremes[3], e2[1])]
    hits /= len(images) * STEPS
    print(f"{name}: integer accuracy {right / len(images):.4f} ({right} of {len(images)})")
    print(f"  mean spikes per step: input {hits[0]:.2f}, hidden {hits[1]:.2f}, output {hits[2]:.3f}")
    print(f"  membrane before saturation: hidden {extremes[0]}..{extremes[1]}, "
          f"output {extremes[2]}..{extremes[3]}")


def main():
    global WEIGHT_FORMAT
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true",
                        help="only evaluate the weights.npz that is there")
    parser.add_argument("--holdout", type=int, default=0, metavar="N",
                        help="tuning: keep the last N training images out, report "
                             "on them and write nothing")
    parser.add_argument("--float", action="store_true",
                        help="train the float network for comparison and write nothing")
    args = parser.parse_args()
    images, labels, test_images, test_labels = mnist()
    if args.float:
        WEIGHT_FORMAT = "float"
        weights = train(images, labels)
        float_report(f"first {SAMPLES} test images", test_images[:SAMPLES],
                     test_labels[:SAMPLES], weights)
        float_report("all test images", test_images, test_labels, weights)
        return
    if args.holdout:
        weights = train(images[:-args.holdout], labels[:-args.holdout])
        report("held out", images[-args.holdout:], labels[-args.holdout:], weights)
        return
    if args.check:
        with np.load(HERE / "weights.npz") as file:
            weights = {k: file[k] for k in file}
    else:
        weights = train(images, labels)
        save_npz(HERE / "weights.npz", **weights)
        spikes = encode(test_images[:SAMPLES]).transpose(1, 0, 2)
        save_npz(HERE / "samples.npz", x=spikes, label=test_labels[:SAMPLES])
    report(f"first {SAMPLES} test images (shipped)", test_images[:SAMPLES],
           test_labels[:SAMPLES], weights)
    report("all test images", test_images, test_labels, weights)
    for k, q in weights.items():
        q = q.astype(np.int64)
        print(f"{k}: weights {q.min()}..{q.max()}, zero {np.mean(q == 0):.3f}, "
              f"largest per-neuron sum of positive {np.maximum(q, 0).sum(1).max()}, "
              f"of negative {np.minimum(q, 0).sum(1).min()}")


if __name__ == "__main__":
    main()

"""Train the 64-64-10 digits classifier with 2:8 sparse weights.

    python examples/digits-nm/train.py

writes weights.npz and samples.npz beside this file and prints the accuracy of
a dense float network of the same size and of the sparse integer model.  See
README.md for the definitions.

How it trains, the first two runs from the same start:
  1. the dense float network, which is only the figure to compare with;
  2. the sparse float network by SR-STE: the forward pass keeps the 2 largest
     of each 8 consecutive weights of an output row, the gradient reaches all
     of them, and the ones left out are pulled towards zero;
     then a phase with the pattern frozen;
  3. a last phase with weights and hidden activations rounded to their integer
     formats (straight-through estimator).
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (Adam, cosine, dense, digits_split, progress, requant,  # noqa: E402
                    save_npz, softmax_cross_entropy)
import numpy as np  # noqa: E402

# The network -------------------------------------------------------------
INPUTS, HIDDEN, CLASSES = 64, 64, 10
KEEP, BLOCK = 2, 8              # the 2:8 pattern
LAYERS = ("hidden", "out")

# The training ------------------------------------------------------------
SEED = 5
BATCH = 48
DENSE_EPOCHS, SPARSE_EPOCHS, FROZEN_EPOCHS, QAT_EPOCHS = 300, 300, 150, 150
RATE, FROZEN_RATE, QAT_RATE = 3e-3, 1e-3, 5e-4
PULL = 1e-3                     # SR-STE: pull of the left-out weights to zero
DECAY = 1e-3                    # weight decay
PIXEL = 1 / 16                  # real value of one input step


# --------------------------------------------------------------------------
# Reference inference, integers only
# --------------------------------------------------------------------------

def reference(x, weights, multiplier, shift):
    """Class of each row of x and the two layers' accumulators."""
    acc1 = dense(x, weights["hidden"], weights["hidden_bias"])
    h = requant(np.maximum(acc1, 0), "u8", shift, multiplier)
    acc2 = dense(h, weights["out"], weights["out_bias"])
    return acc2.argmax(axis=1), acc1, h, acc2


def multiplier_and_shift(scale):
    """The float32 nearest to scale, exactly, as multiplier / 2^shift.

    The multiplier is its 24-bit significand (2^23 .. 2^24 - 1).
    """
    fraction, exponent = np.frexp(np.float32(scale))
    return int(np.ldexp(np.float64(fraction), 24)), 24 - int(exponent)


# --------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------

def pattern(w):
    """1 where a weight is among the KEEP largest of its block of inputs.

    Ties go to the lower index, so that at most KEEP are ever kept.
    """
    blocks = np.abs(w).reshape(len(w), -1, BLOCK)
    order = np.argsort(-blocks, axis=2, kind="stable")
    mask = np.zeros(blocks.shape)
    np.put_along_axis(mask, order[:, :, :KEEP], 1.0, axis=2)
    return mask.reshape(w.shape)


def weight_step(w):
    return np.abs(w).max() / 127


def train(x, label, params, rng, epochs, rate, title, sparse=False, masks=None, act_step=None):
    """Dense by default; sparse: SR-STE; masks: a frozen pattern; with act_step,
    the step of the hidden activations, also the integer formats."""
    adam, batches, done = Adam(params), len(x) // BATCH, 0
    for epoch in range(epochs):
        order, total, right = rng.permutation(len(x)), 0.0, 0
        for b in range(batches):
            pick = order[b * BATCH:(b + 1) * BATCH]
            xb = augment(x[pick], rng) * PIXEL
            mask = masks or {k: pattern(params[k]) if sparse else 1.0 for k in LAYERS}
            w = {k: params[k] * mask[k] for k in LAYERS}
            if act_step:
                for k in LAYERS:
                    step = weight_step(w[k])
                    w[k] = np.round(w[k] / step) * step
            z = xb @ w["hidden"].T + params["hidden_bias"]
            h, passes = np.maximum(z, 0), z > 0
            if act_step:
                passes = passes & (z < 255 * act_step)
                h = np.minimum(np.round(h / act_step), 255) * act_step
            logits = h @ w["out"].T + params["out_bias"]
            loss, g2 = softmax_cross_entropy(logits, label[pick])
            total += loss
            right += (logits.argmax(axis=1) == label[pick]).sum()
            g1 = (g2 @ w["out"]) * passes
            grads = {"hidden": g1.T @ xb, "hidden_bias": g1.sum(axis=0),
                     "out": g2.T @ h, "out_bias": g2.sum(axis=0)}
            for k in LAYERS:
                grads[k] += DECAY * w[k]
                if sparse:
                    grads[k] += PULL * (1 - mask[k]) * params[k]
                if masks:
                    grads[k] *= mask[k]
            adam.step(grads, cosine(done, epochs * batches, rate, rate / 100))
            done += 1
        if (epoch + 1) % 50 == 0:
            progress(f"{title} epoch {epoch + 1}/{epochs}: loss {total / batches:.4f}, "
                     f"training accuracy {right / (batches * BATCH):.4f}")


def augment(x, rng):
    """Shift about half of the images by one pixel, left, right, up or down."""
    padded = np.zeros((len(x), 10, 10))
    padded[:, 1:9, 1:9] = x.reshape(-1, 8, 8)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), (1, 2))
    move = rng.integers(0, 8, len(x))
    dy = np.choose(move, [0, 2, 1, 1, 1, 1, 1, 1])
    dx = np.choose(move, [1, 1, 0, 2, 1, 1, 1, 1])
    return windows[np.arange(len(x)), dy, dx].reshape(-1, 64)


def float_accuracy(x, label, params, masks=None):
    w = {k: params[k] * (masks[k] if masks else 1.0) for k in LAYERS}
    h = np.maximum(x * PIXEL @ w["hidden"].T + params["hidden_bias"], 0)
    return np.mean((h @ w["out"].T + params["out_bias"]).argmax(axis=1) == label)


def main():
    train_x, train_y, test_x, test_y = digits_split()
    start = np.random.default_rng(SEED)
    params = {"hidden": start.normal(0, np.sqrt(2 / INPUTS), (HIDDEN, INPUTS)),
              "hidden_bias": np.zeros(HIDDEN),
              "out": start.normal(0, np.sqrt(2 / HIDDEN), (CLASSES, HIDDEN)),
              "out_bias": np.zeros(CLASSES)}

    full = {k: v.copy() for k, v in params.items()}
    train(train_x, train_y, full, np.random.default_rng(SEED + 1), DENSE_EPOCHS, RATE, "dense float")
    dense_accuracy = float_accuracy(test_x, test_y, full)

    rng = np.random.default_rng(SEED + 2)
    train(train_x, train_y, params, rng, SPARSE_EPOCHS, RATE, "2:8 float", sparse=True)
    masks = {k: pattern(params[k]) for k in LAYERS}
    train(train_x, train_y, params, rng, FROZEN_EPOCHS, FROZEN_RATE, "2:8 float, frozen pattern",
          masks=masks)
    sparse_accuracy = float_accuracy(test_x, test_y, params, masks)

    # One step for the hidden activations: the largest seen in training is 255.
    w = params["hidden"] * masks["hidden"]
    act_step = np.maximum(train_x * PIXEL @ w.T + params["hidden_bias"], 0).max() / 255
    train(train_x, train_y, params, rng, QAT_EPOCHS, QAT_RATE, "2:8 integer", masks=masks,
          act_step=act_step)

    step1, step2 = (weight_step(params[k] * masks[k]) for k in LAYERS)
    weights = {
        "hidden": np.round(params["hidden"] * masks["hidden"] / step1).astype(np.int64),
        "hidden_bias": np.round(params["hidden_bias"] / (step1 * PIXEL)).astype(np.int64),
        "out": np.round(params["out"] * masks["out"] / step2).astype(np.int64),
        "out_bias": np.round(params["out_bias"] / (step2 * act_step)).astype(np.int64)}
    multiplier, shift = multiplier_and_shift(step1 * PIXEL / act_step)
    for k in LAYERS:
        blocks = (weights[k] != 0).reshape(len(weights[k]), -1, BLOCK).sum(axis=2)
        assert blocks.max() <= KEEP and np.abs(weights[k]).max() <= 127
    save_npz(HERE / "weights.npz", **weights)
    save_npz(HERE / "samples.npz", x=test_x, label=test_y)

    guess, acc1, h, acc2 = reference(test_x, weights, multiplier, shift)
    right = int((guess == test_y).sum())
    print(f"dense float accuracy {dense_accuracy:.4f}, 2:8 float accuracy {sparse_accuracy:.4f}")
    print(f"2:8 integer accuracy {right / len(test_y):.4f} ({right} of {len(test_y)} held-out images)")
    print(f"requant: multiplier {multiplier}, shift {shift}")
    for k, acc in (("hidden", acc1), ("out", acc2)):
        print(f"{k}: weights {weights[k].min()}..{weights[k].max()}, {np.mean(weights[k] != 0):.4f} non-zero, "
              f"bias {weights[k + '_bias'].min()}..{weights[k + '_bias'].max()}, accumulators {acc.min()}..{acc.max()}")
    # The same requantization in float32, rounded after every operation.
    scale = np.float32(multiplier * 2.0 ** -shift)
    single = np.clip(np.rint(np.maximum(acc1, 0).astype(np.float32) * scale), 0, 255)
    print(f"hidden activations that differ from float32 arithmetic: {int((single != h).sum())} of {h.size}")


if __name__ == "__main__":
    main()

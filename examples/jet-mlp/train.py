"""Train the 16-64-32-32-5 jet tagger of this example, six bits a weight and an activation.

    python examples/jet-mlp/train.py

makes the jets (jets.py), trains, writes weights.npz and samples.npz beside this file and prints the accuracies of
the float network and of the integer one.  See README.md for the definitions.

How it trains: first the float network; then the smallest half of the weights of each hidden layer is taken away, and
the network is trained on with every weight and activation rounded to its format in the forward pass (straight-through
estimator).
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (Adam, cosine, dense, progress, round_shift_half_even,  # noqa: E402
                    save_npz, softmax_cross_entropy)
import numpy as np  # noqa: E402
from jets import CLASSES, jets  # noqa: E402

# The network: weights s6.5 or s6.4 (-1..1 or -2..2), hidden activations u6.3 (0..8), features s8.4 (-8..8 deviations)
LAYERS = [("hidden1", 16, 64, 4), ("hidden2", 64, 32, 5), ("hidden3", 32, 32, 5), ("score", 32, 5, 4)]
IN_FRAC, HIDDEN_FRAC, HIDDEN_TOP = 4, 3, 63
KEPT = 0.5                      # of the weights of every layer but the last

# The training
SEED = 7
TRAIN, TEST, SHIPPED = 40000, 10000, 1000
BATCH, FLOAT_EPOCHS, QAT_EPOCHS, FLOAT_RATE, QAT_RATE = 200, 40, 40, 3e-3, 2e-3


def quantised(x):
    """Features in s8.4."""
    return np.clip(np.round(x * 2 ** IN_FRAC), -128, 127).astype(np.int64)


def reference(x, weights):
    """Scores, integers only."""
    fraction = IN_FRAC
    for name, _, _, frac in LAYERS:
        x = dense(x, weights[name], weights[name + "_bias"])
        fraction += frac
        if name != "score":
            x = np.clip(round_shift_half_even(np.maximum(x, 0), fraction - HIDDEN_FRAC), 0, HIDDEN_TOP)
            fraction = HIDDEN_FRAC
    return x


def forward(x, params, masks):
    """Scores and what the backward pass needs; without masks the float network."""
    keep, fraction = [], IN_FRAC
    for name, _, _, frac in LAYERS:
        w, b = params[name], params[name + "_bias"]
        if masks:
            w = np.clip(np.round(w * 2 ** frac), -32, 31) / 2 ** frac * masks[name]
            b = np.round(b * 2 ** (frac + fraction)) / 2 ** (frac + fraction)
        z = x @ w.T + b
        passes, y = np.ones_like(z, bool), z
        if name != "score":
            passes, y = z > 0, np.maximum(z, 0)
            if masks:
                y = np.clip(np.round(y * 2 ** HIDDEN_FRAC), 0, HIDDEN_TOP) / 2 ** HIDDEN_FRAC
                passes = (z > 0) & (z * 2 ** HIDDEN_FRAC < HIDDEN_TOP)
                fraction = HIDDEN_FRAC
        keep.append((name, x, w, passes))
        x = y
    return x, keep


def backward(grad, keep, masks):
    grads = {}
    for name, x, w, passes in reversed(keep):
        grad = grad * passes
        grads[name], grads[name + "_bias"] = grad.T @ x, grad.sum(0)
        if masks:
            grads[name] *= masks[name]
        grad = grad @ w
    return grads


def fit(params, x, label, epochs, rate, rng, masks, title):
    adam, batches, done = Adam(params), len(x) // BATCH, 0
    for epoch in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for b in range(batches):
            at = order[b * BATCH:(b + 1) * BATCH]
            out, keep = forward(x[at], params, masks)
            loss, grad = softmax_cross_entropy(out, label[at])
            total += loss
            adam.step(backward(grad, keep, masks), cosine(done, epochs * batches, rate, rate / 100))
            done += 1
            if masks:
                for name, _, _, frac in LAYERS:
                    np.clip(params[name], -32.49 / 2 ** frac, 31.49 / 2 ** frac, out=params[name])
        if (epoch + 1) % 10 == 0:
            progress(f"{title} epoch {epoch + 1}/{epochs}: loss {total / batches:.4f}")


def accuracy(params, x, label, masks=None):
    return np.mean(forward(x, params, masks)[0].argmax(1) == label)


def main():
    raw, label = jets(TRAIN + TEST, SEED)
    mean, deviation = raw[:TRAIN].mean(0), raw[:TRAIN].std(0)
    x = quantised((raw - mean) / deviation)
    real = x / 2 ** IN_FRAC
    train, test = real[:TRAIN], real[TRAIN:]
    train_label, test_label = label[:TRAIN], label[TRAIN:]
    progress("jets made")

    rng = np.random.default_rng(SEED)
    params = {}
    for name, n_in, n_out, _ in LAYERS:
        params[name] = rng.normal(0, np.sqrt(1.5 / n_in), (n_out, n_in))
        params[name + "_bias"] = np.zeros(n_out)
    fit(params, train, train_label, FLOAT_EPOCHS, FLOAT_RATE, rng, None, "float")
    longer = {k: v.copy() for k, v in params.items()}
    fit(longer, train, train_label, QAT_EPOCHS, QAT_RATE, np.random.default_rng(SEED + 1), None, "float, longer")

    masks = {}
    for name, *_ in LAYERS:
        size = np.abs(params[name])
        masks[name] = (size >= np.quantile(size, 1 - KEPT)) * 1.0 if name != "score" else np.ones_like(size)
    fit(params, train, train_label, QAT_EPOCHS, QAT_RATE, np.random.default_rng(SEED + 1), masks, "six bits")

    weights, fraction = {}, IN_FRAC
    for name, _, _, frac in LAYERS:
        weights[name] = (np.clip(np.round(params[name] * 2 ** frac), -32, 31) * masks[name]).astype(np.int64)
        weights[name + "_bias"] = np.round(params[name + "_bias"] * 2 ** (frac + fraction)).astype(np.int64)
        fraction = HIDDEN_FRAC
    save_npz(HERE / "weights.npz", **weights)
    save_npz(HERE / "samples.npz", x=x[TRAIN:TRAIN + SHIPPED], label=test_label[:SHIPPED])

    score = reference(x[TRAIN:], weights)
    exact = forward(test, params, masks)[0] * 2 ** (HIDDEN_FRAC + LAYERS[-1][3])
    assert np.array_equal(score, exact), "training and reference disagree"
    right = score.argmax(1) == test_label
    print(f"{TEST} test jets: float {np.mean(forward(test, longer, None)[0].argmax(1) == test_label):.4f}, "
          f"six bits {right.mean():.4f}; the first {SHIPPED}: {right[:SHIPPED].mean():.4f}")
    print("by class:", ", ".join(f"{c} {right[test_label == n].mean():.3f}" for n, c in enumerate(CLASSES)))
    print("weights that are not zero:", ", ".join(f"{n} {np.count_nonzero(weights[n])}" for n, *_ in LAYERS))


if __name__ == "__main__":
    main()

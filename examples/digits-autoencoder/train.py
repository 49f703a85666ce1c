"""Train the 64-32-16-32-64 integer autoencoder of this example.

    python examples/digits-autoencoder/train.py

writes weights.npz and samples.npz beside this file and prints the mean square
reconstruction error of a float autoencoder of the same size and of the
integer model.  See README.md for the definitions.

How it trains: first the float network; then its layers are given power-of-two
scales, and the network is trained on with every weight and activation rounded
to its integer format in the forward pass (straight-through estimator).
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (Adam, cosine, dense, digits_split, int_range,  # noqa: E402
                    progress, requant, save_npz)
import numpy as np  # noqa: E402

# The network -------------------------------------------------------------
# name, inputs, outputs, relu, output format
LAYERS = [("enc1", 64, 32, True, "u6"),
          ("latent", 32, 16, True, "u6"),
          ("dec1", 16, 32, True, "u6"),
          ("recon", 32, 64, False, "u5")]
WEIGHT_FORMAT = "s6"
PIXEL_EXP = 4                   # a pixel of 16 is the real value 1

# The training ------------------------------------------------------------
SEED = 11
BATCH = 48
FLOAT_EPOCHS, FLOAT_RATE = 1500, 2e-3
QAT_EPOCHS, QAT_RATE = 1500, 1e-3
TRIAL_EPOCHS = 120              # of each candidate plan of scales


# --------------------------------------------------------------------------
# Reference inference, integers only
# --------------------------------------------------------------------------

def reference(x, weights, shifts):
    for name, _, _, relu, fmt in LAYERS:
        acc = dense(x, weights[name], weights[name + "_bias"])
        if relu:
            acc = np.maximum(acc, 0)
        x = requant(acc, fmt, shifts[name])
    return x


# --------------------------------------------------------------------------
# Training.  Real value of an activation = integer * 2^-a with a per layer;
# pixels have a = PIXEL_EXP at both ends (real values 0..1).
# --------------------------------------------------------------------------

def forward(x, params, plan=None):
    """Activations and what the backward pass needs.

    Without a plan: the float network.  With one: the integer network, carried
    out on real values; plan[name] = (weight exponent, output exponent), an
    exponent e meaning a step of 2^-e.
    """
    keep, low, high = [], *int_range(WEIGHT_FORMAT)
    in_exp = PIXEL_EXP
    for name, _, _, relu, fmt in LAYERS:
        w, b = params[name], params[name + "_bias"]
        if plan:
            w_exp, out_exp = plan[name]
            w = np.clip(np.round(w * 2.0 ** w_exp), low, high) / 2.0 ** w_exp
            b = np.round(b * 2.0 ** (w_exp + in_exp)) / 2.0 ** (w_exp + in_exp)
            in_exp = out_exp
        z = x @ w.T + b
        y = np.maximum(z, 0) if relu else z
        # the gradient passes where a hidden output is not clamped
        passes = z > 0 if relu else np.ones_like(z, bool)
        if plan:
            scale, top = 2.0 ** out_exp, int_range(fmt)[1]
            passes = (z > 0) & (z * scale < top) if relu else passes
            y = np.clip(np.round(y * scale), 0, top) / scale
        keep.append((name, x, w, passes))
        x = y
    return x, keep


def backward(grad, keep):
    grads = {}
    for name, x, w, passes in reversed(keep):
        grad = grad * passes
        grads[name], grads[name + "_bias"] = grad.T @ x, grad.sum(axis=0)
        grad = grad @ w
    return grads


def fit(params, x, rng, epochs, rate, title, plan=None):
    adam, batches, done = Adam(params), len(x) // BATCH, 0
    for epoch in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for b in range(batches):
            batch = x[order[b * BATCH:(b + 1) * BATCH]]
            out, keep = forward(batch, params, plan)
            error = out - batch
            total += np.mean(error ** 2)
            adam.step(backward(2 * error / error.size, keep),
                      cosine(done, epochs * batches, rate, rate / 100))
            if plan:
                low, high = int_range(WEIGHT_FORMAT)
                for name, *_ in LAYERS:
                    step = 2.0 ** -plan[name][0]
                    np.clip(params[name], (low - 0.49) * step, (high + 0.49) * step,
                            out=params[name])
            done += 1
        if (epoch + 1) % 100 == 0:
            progress(f"{title} epoch {epoch + 1}/{epochs}: training MSE {total / batches * 4 ** PIXEL_EXP:.4f}")


def pca(x, count):
    """Mean and the first principal components [count, pixels]."""
    mean = x.mean(axis=0)
    return mean, np.linalg.svd(x - mean, full_matrices=False)[2][:count]


def initial(x, rng):
    """Start at the principal components, which this network can hold exactly.

    A random start leaves about half of the 16 latent units dead for good.
    enc1 = relu of plus and minus each component, latent = their difference
    plus an offset that keeps it positive, dec1 takes both halves apart again.
    A little noise tells the units apart.
    """
    mean, axes = pca(x, 16)
    offset = -((x - mean) @ axes.T).min(axis=0) * 1.1
    eye = np.eye(16)
    params = {"enc1": np.vstack([axes, -axes]), "enc1_bias": np.hstack([-axes @ mean, axes @ mean]),
              "latent": np.hstack([eye, -eye]), "latent_bias": offset.copy(),
              "dec1": np.vstack([eye, -eye]), "dec1_bias": np.hstack([-offset, offset]),
              "recon": np.hstack([axes.T, -axes.T]), "recon_bias": mean.copy()}
    for name, *_ in LAYERS:
        params[name] += rng.normal(0, 0.02, params[name].shape)
    return params


def mse(params, x, plan=None):
    """Mean square error in pixel^2 (0..16 scale)."""
    return np.mean((forward(x, params, plan)[0] - x) ** 2) * 4 ** PIXEL_EXP


def live_units(params, x):
    """Number of units of each hidden layer that are ever above zero."""
    return {name: int(passes.any(axis=0).sum())
            for (name, _, _, passes), layer in zip(forward(x, params)[1], LAYERS) if layer[3]}


def scales(params, x, weight_quantile, act_quantile):
    """Power-of-two steps: the finest that clip few values."""
    plan, high = {}, int_range(WEIGHT_FORMAT)[1]
    for name, _, _, relu, fmt in LAYERS:
        w_exp = int(np.floor(np.log2(high / np.quantile(np.abs(params[name]), weight_quantile))))
        z = x @ params[name].T + params[name + "_bias"]
        x = np.maximum(z, 0) if relu else z
        out_exp = int(np.floor(np.log2(int_range(fmt)[1] / np.quantile(x, act_quantile)))) if relu else PIXEL_EXP
        plan[name] = (w_exp, out_exp)
    return plan


def choose_scales(params, x):
    """Try plans that clip more or less; keep the best on the training set."""
    plans = []
    for weight_quantile in (0.95, 0.98, 0.99, 0.998):
        for act_quantile in (0.98, 0.99, 0.999, 1.0):
            plan = scales(params, x, weight_quantile, act_quantile)
            if plan not in plans:
                plans.append(plan)
    errors = []
    for plan in plans:
        trial = {k: v.copy() for k, v in params.items()}
        fit(trial, x, np.random.default_rng(SEED + 2), TRIAL_EPOCHS, QAT_RATE, "trial", plan)
        errors.append(mse(trial, x, plan))
        progress(f"scales {plan}: training MSE {errors[-1]:.4f}")
    return plans[int(np.argmin(errors))]


def integers(params, plan):
    """The integer network: weights, biases and the requantization shifts."""
    weights, shifts, in_exp = {}, {}, PIXEL_EXP
    low, high = int_range(WEIGHT_FORMAT)
    for name, *_ in LAYERS:
        w_exp, out_exp = plan[name]
        weights[name] = np.clip(np.round(params[name] * 2.0 ** w_exp), low, high).astype(np.int64)
        weights[name + "_bias"] = np.round(
            params[name + "_bias"] * 2.0 ** (w_exp + in_exp)).astype(np.int64)
        shifts[name] = w_exp + in_exp - out_exp
        in_exp = out_exp
    return weights, shifts


def main():
    train_x, _, test_x, _ = digits_split()
    unit = 2.0 ** -PIXEL_EXP
    real, test = train_x * unit, test_x * unit
    rng = np.random.default_rng(SEED)
    params = initial(real, rng)
    fit(params, real, rng, FLOAT_EPOCHS, FLOAT_RATE, "float")

    # The figure to compare with: the float network, trained on just as long.
    longer = {k: v.copy() for k, v in params.items()}
    fit(longer, real, np.random.default_rng(SEED + 1), QAT_EPOCHS, QAT_RATE, "float, longer")

    plan = choose_scales(params, real)
    fit(params, real, np.random.default_rng(SEED + 1), QAT_EPOCHS, QAT_RATE, "integer", plan)
    weights, shifts = integers(params, plan)
    save_npz(HERE / "weights.npz", **weights)
    save_npz(HERE / "samples.npz", x=test_x, target=test_x)

    y = reference(test_x, weights, shifts)
    assert np.array_equal(y * unit, forward(test, params, plan)[0]), "training and reference disagree"
    mean, axes = pca(real, 16)
    linear = (test - mean) @ axes.T @ axes + mean
    out = forward(test, longer)[0]
    print(f"{len(test_x)} held-out images, mean square error in pixel^2 (training set in brackets)")
    print(f"16 principal components {np.mean((linear - test) ** 2) / unit ** 2:.4f}")
    print(f"float MSE {mse(longer, test):.4f} ({mse(longer, real):.4f}), "
          f"clamped to 0..16 {np.mean((np.clip(out, 0, 1) - test) ** 2) / unit ** 2:.4f}")
    print(f"integer MSE {np.mean((y - test_x) ** 2):.4f} ({mse(params, real, plan):.4f})")
    print(f"units ever above zero: float {live_units(longer, real)}, integer {live_units(params, real)}")
    for name, _, _, _, fmt in LAYERS:
        q, b = weights[name], weights[name + "_bias"]
        print(f"{name}: shift {shifts[name]}, output {fmt}, weights {q.min()}..{q.max()}, "
              f"bias {b.min()}..{b.max()}")


if __name__ == "__main__":
    main()

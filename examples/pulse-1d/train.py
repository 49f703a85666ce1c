"""Train the 1-D convolutional network of this example: time and energy of a detector pulse.

    python examples/pulse-1d/train.py

generates pulses, writes weights.npz and samples.npz beside this file and prints the resolution
of time and energy of the float network, of the integer network and of the usual digital
methods: a constant-fraction discriminator, the largest sample, the sum of samples.  See
README.md for the definitions.

How it trains: first the float network; then its layers are given power-of-two scales, and the
network is trained on with every weight and activation rounded to its integer format in the
forward pass (straight-through estimator).
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import Adam, cosine, int_range, progress, requant, save_npz  # noqa: E402
import numpy as np  # noqa: E402

# The pulse ---------------------------------------------------------------
SAMPLES = 32                    # of the digitizer, 10 bits each
RISE, FALL = 1.5, 6.0           # time constants, in samples
START = (6.0, 10.0)             # when a pulse begins, uniform: any phase of the clock
ENERGY = (60.0, 850.0)          # amplitude in counts, uniform
PEDESTAL = (40.0, 60.0)         # baseline in counts, uniform
NOISE = 3.0                     # counts, white

# The network -------------------------------------------------------------
# name, kernel (0: dense), stride, inputs of a window, outputs, output format
LAYERS = [("conv1", 4, 2, 4, 8, "u10"),
          ("conv2", 3, 2, 24, 8, "u10"),
          ("hidden", 0, 0, 56, 32, "u10"),
          ("out", 0, 0, 32, 2, "s12")]
WEIGHT_FORMAT = "s10"
INPUT_EXP = 8                   # a count is 2^-8
OUT_EXP = 8                     # 1/256 sample of time; one count of energy
CENTRE = 8.0                    # time is told from here

# The training ------------------------------------------------------------
SEED = 3
TRAIN, TEST, SHIPPED = 40000, 10000, 250
BATCH = 100
FLOAT_EPOCHS, FLOAT_RATE = 120, 4e-3
QAT_EPOCHS, QAT_RATE = 60, 3e-4


def pulses(count, rng):
    """Samples [count, SAMPLES] as the digitizer gives them, and time and energy in output units."""
    start = rng.uniform(*START, count)
    energy = rng.uniform(*ENERGY, count)
    t = np.maximum(np.arange(SAMPLES) - start[:, None], 0)
    peak = np.log(FALL / RISE) * RISE * FALL / (FALL - RISE)
    shape = np.exp(-t / FALL) - np.exp(-t / RISE)
    shape /= np.exp(-peak / FALL) - np.exp(-peak / RISE)
    x = rng.uniform(*PEDESTAL, count)[:, None] + energy[:, None] * shape
    x += rng.normal(0, NOISE, x.shape)
    x = np.clip(np.round(x), *int_range("u10")).astype(np.int64)
    return x, np.stack([(start - CENTRE) * 2.0 ** OUT_EXP, energy], axis=1)


# --------------------------------------------------------------------------
# Reference inference, integers only
# --------------------------------------------------------------------------

def windows(x, kernel, stride):
    """Windows [samples, windows, kernel * channels] of a map [samples, length, channels]."""
    count = (x.shape[1] - kernel) // stride + 1
    at = stride * np.arange(count)[:, None] + np.arange(kernel)
    return x[:, at].reshape(len(x), count, -1)


def arrange(x, kernel, stride):
    """What a layer sees: windows, or all of it."""
    return windows(x, kernel, stride) if kernel else x.reshape(len(x), -1)


def reference(x, weights, shifts):
    x = x[:, :, None]
    for name, kernel, stride, _, _, fmt in LAYERS:
        acc = arrange(x, kernel, stride) @ weights[name].T + weights[name + "_bias"]
        x = requant(acc, fmt, shifts[name])
    return x


# --------------------------------------------------------------------------
# Training.  Real value of an integer = integer * 2^-a with a per layer.
# --------------------------------------------------------------------------

def forward(x, params, plan=None):
    """Outputs and what the backward pass needs; with a plan the integer network, on real values.

    plan[name] = (weight exponent, output exponent), an exponent e meaning a step of 2^-e.
    """
    keep, (low, high), in_exp = [], int_range(WEIGHT_FORMAT), INPUT_EXP
    x = x[:, :, None]
    for name, kernel, stride, _, _, fmt in LAYERS:
        w, b = params[name], params[name + "_bias"]
        if plan:
            w_exp, out_exp = plan[name]
            w = np.clip(np.round(w * 2.0 ** w_exp), low, high) / 2.0 ** w_exp
            b = np.round(b * 2.0 ** (w_exp + in_exp)) / 2.0 ** (w_exp + in_exp)
            in_exp = out_exp
        seen = arrange(x, kernel, stride)
        y = z = seen @ w.T + b
        passes = np.ones_like(z, bool)
        if fmt[0] == "u":
            y, passes = np.maximum(z, 0), z > 0
        if plan:
            scale, (least, most) = 2.0 ** out_exp, int_range(fmt)
            passes &= z * scale < most
            y = np.clip(np.round(z * scale), least, most) / scale
        keep.append((name, kernel, stride, x.shape, seen, w, passes))
        x = y
    return x, keep


def backward(grad, keep):
    grads = {}
    for name, kernel, stride, shape, seen, w, passes in reversed(keep):
        grad = grad.reshape(passes.shape) * passes
        flat, rows = grad.reshape(-1, grad.shape[-1]), seen.reshape(-1, seen.shape[-1])
        grads[name], grads[name + "_bias"] = flat.T @ rows, flat.sum(axis=0)
        if name == LAYERS[0][0]:
            break
        into = (flat @ w).reshape(seen.shape)
        if kernel:
            # Every window gives its share back to the places that it covers.
            whole = np.zeros(shape)
            parts = into.reshape(len(into), -1, kernel, shape[2])
            for tap in range(kernel):
                whole[:, tap:tap + stride * parts.shape[1]:stride] += parts[:, :, tap]
            into = whole
        grad = into.reshape(shape)
    return grads


def fit(params, x, target, rng, epochs, rate, title, plan=None):
    adam, batches, done = Adam(params), len(x) // BATCH, 0
    for epoch in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for b in range(batches):
            chosen = order[b * BATCH:(b + 1) * BATCH]
            out, keep = forward(x[chosen], params, plan)
            error = out - target[chosen]
            total += np.mean(error ** 2)
            adam.step(backward(2 * error / error.size, keep), cosine(done, epochs * batches, rate, rate / 200))
            if plan:
                low, high = int_range(WEIGHT_FORMAT)
                for name, *_ in LAYERS:
                    step = 2.0 ** -plan[name][0]
                    np.clip(params[name], (low - 0.49) * step, (high + 0.49) * step, out=params[name])
            done += 1
        if (epoch + 1) % 20 == 0:
            progress(f"{title} epoch {epoch + 1}/{epochs}: squared error {total / batches:.3e}")


def initial(rng):
    params = {}
    for name, _, _, inputs, outputs, _ in LAYERS:
        params[name] = rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs))
        params[name + "_bias"] = np.zeros(outputs)
    return params


def scales(params, x):
    """Power-of-two steps: the finest that clip no weight and no activation."""
    plan, high = {}, int_range(WEIGHT_FORMAT)[1]
    _, keep = forward(x, params)
    for n, (name, _, _, _, _, fmt) in enumerate(LAYERS):
        w_exp = int(np.floor(np.log2(high / np.abs(params[name]).max())))
        out_exp = OUT_EXP
        if n + 1 < len(LAYERS):
            out_exp = int(np.floor(np.log2(int_range(fmt)[1] / keep[n + 1][4].max())))
        plan[name] = (w_exp, out_exp)
    return plan


def integers(params, plan):
    """The integer network: weights, biases and the requantization shifts."""
    weights, shifts, in_exp = {}, {}, INPUT_EXP
    low, high = int_range(WEIGHT_FORMAT)
    for name, *_ in LAYERS:
        w_exp, out_exp = plan[name]
        weights[name] = np.clip(np.round(params[name] * 2.0 ** w_exp), low, high).astype(np.int64)
        weights[name + "_bias"] = np.round(params[name + "_bias"] * 2.0 ** (w_exp + in_exp)).astype(np.int64)
        shifts[name] = w_exp + in_exp - out_exp
        in_exp = out_exp
    return weights, shifts


# --------------------------------------------------------------------------
# The usual digital methods
# --------------------------------------------------------------------------

def above_pedestal(x):
    """The pulse less the mean of the first five samples, in which there is none."""
    return x - x[:, :5].mean(axis=1, keepdims=True)


def constant_fraction(x, fraction, delay):
    """Zero crossing of `delayed pulse - fraction * pulse` behind its lowest point, between samples."""
    s = above_pedestal(x)
    bipolar = np.zeros_like(s)
    bipolar[:, delay:] = s[:, :-delay]
    bipolar -= fraction * s
    at = np.empty(len(x))
    for n, y in enumerate(bipolar):
        i = int(np.argmin(y[:SAMPLES // 2 + 4]))
        while i + 1 < SAMPLES and y[i + 1] < 0:
            i += 1
        j = min(i + 1, SAMPLES - 1)
        at[n] = i + (y[i] / (y[i] - y[j]) if y[j] > y[i] else 0.5)
    return at


def best_constant_fraction(x, start):
    """Fraction, delay and offset with the least deviation on the training pulses."""
    choices = [(f, d) for f in (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6) for d in (1, 2, 3, 4)]
    spread = [np.std(constant_fraction(x, *c) - start) for c in choices]
    best = choices[int(np.argmin(spread))]
    return best, float(np.mean(constant_fraction(x, *best) - start))


def straight_line(measure, energy):
    """Energy as a straight line of a measure, least squares."""
    return np.polyfit(measure, energy, 1)


def rms(error):
    return float(np.sqrt(np.mean(error ** 2)))


def main():
    rng = np.random.default_rng(SEED)
    train, target = pulses(TRAIN, rng)
    test, truth = pulses(TEST, rng)
    unit, real = 2.0 ** -INPUT_EXP, target * 2.0 ** -OUT_EXP

    params = initial(rng)
    fit(params, train * unit, real, rng, FLOAT_EPOCHS, FLOAT_RATE, "float")
    longer = {k: v.copy() for k, v in params.items()}
    fit(longer, train * unit, real, np.random.default_rng(SEED + 1), QAT_EPOCHS, QAT_RATE, "float, longer")
    plan = scales(params, train * unit)
    fit(params, train * unit, real, np.random.default_rng(SEED + 1), QAT_EPOCHS, QAT_RATE, "integer", plan)

    weights, shifts = integers(params, plan)
    save_npz(HERE / "weights.npz", **weights)
    save_npz(HERE / "samples.npz", x=test[:SHIPPED, :, None], target=np.round(truth[:SHIPPED]).astype(np.int64))
    y = reference(test, weights, shifts)
    exact = forward(test * unit, params, plan)[0] * 2.0 ** OUT_EXP
    assert np.array_equal(y, exact), "training and reference disagree"

    start = target[:, 0] / 2 ** OUT_EXP + CENTRE
    choice, offset = best_constant_fraction(train[:5000], start[:5000])
    cfd = constant_fraction(test, *choice) - offset - CENTRE
    energies = {}
    for name, measure in (("largest sample", lambda x: above_pedestal(x).max(axis=1)),
                          ("sum of samples", lambda x: above_pedestal(x)[:, 6:28].sum(axis=1))):
        line = straight_line(measure(train), target[:, 1])
        energies[name] = np.polyval(line, measure(test)) - truth[:, 1]
    out = forward(test * unit, longer)[0] * 2.0 ** OUT_EXP

    print(f"{TEST} held-out pulses; root mean square errors, of all and of the weakest fifth")
    weak = truth[:, 1] < ENERGY[0] + (ENERGY[1] - ENERGY[0]) / 5
    ns = 2.0 ** -OUT_EXP
    times = {"integer network": (y - truth)[:, 0] * ns, "float network": (out - truth)[:, 0] * ns,
             f"constant fraction {choice[0]}, delay {choice[1]}": cfd - truth[:, 0] * ns}
    for name, error in times.items():
        print(f"time, samples: {name}: {rms(error):.4f}, {rms(error[weak]):.4f}")
    energies = {"integer network": (y - truth)[:, 1], "float network": (out - truth)[:, 1], **energies}
    for name, error in energies.items():
        print(f"energy, counts: {name}: {rms(error):.2f}, {rms(error[weak]):.2f}")
    shipped = np.mean((y[:SHIPPED] - np.round(truth[:SHIPPED])) ** 2)
    print(f"squared error over the {SHIPPED} shipped pulses, both outputs: {shipped:.4f}")
    for name, *_, fmt in LAYERS:
        q, b = weights[name], weights[name + "_bias"]
        print(f"{name}: shift {shifts[name]}, output {fmt}, weights {q.min()}..{q.max()}, bias {b.min()}..{b.max()}")


if __name__ == "__main__":
    main()

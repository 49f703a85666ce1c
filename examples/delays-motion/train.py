"""Train delays-motion: direction and speed of a moving edge, by the delays of synapses.

Delays are learned as in DCLS (Hammouamri, Khalfaoui-Hassani, Masquelier, ICLR 2024):
each synapse sees its input through a Gaussian over time whose centre is the delay and
whose width shrinks during training; then delays are rounded and the weights alone are
trained on, quantized.  Only numpy.

    python train.py             train, write weights.npz and samples.npz, report
    python train.py --check     evaluate the weights.npz that is there
    python train.py --compare   train with delays left as drawn, and set delays by hand
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from common import Adam, cosine, progress, save_npz, softmax_cross_entropy  # noqa: E402

import numpy as np  # noqa: E402

PIXELS, STEPS, SPEEDS = 12, 32, (1, 2)       # speeds in steps a pixel
CLASSES = 2 * len(SPEEDS)
LONGEST = 23                                 # steps of the longest delay
MISSED, NOISE, JITTER = 0.15, 0.03, 0.2      # of edge spikes; a pixel and step; each way
SAMPLES = 600
LEAK = 1                                     # v -= v >> LEAK
SCALE = 16                                   # integers a unit of the float network
THRESHOLD = 2 * SCALE
WEIGHTS = (-16, 15)                          # s5
MEMBRANE = (-512, 511)                       # s10


def edges(count, rng):
    """Spikes [count, steps, pixels] of edges that move, and their classes.

    Class: the speed's index, plus len(SPEEDS) for those that move to the left."""
    label = rng.integers(0, CLASSES, count)
    speed = np.array(SPEEDS)[label % len(SPEEDS)]
    start = rng.integers(0, STEPS - speed * (PIXELS - 1), count)
    at = np.arange(PIXELS)[None] + np.zeros((count, 1), int)
    at = np.where((label >= len(SPEEDS))[:, None], PIXELS - 1 - at, at)
    draw = rng.random((count, PIXELS))
    jitter = (draw < JITTER).astype(int) - (draw > 1 - JITTER)
    time = np.clip(start[:, None] + at * speed[:, None] + jitter, 0, STEPS - 1)
    x = rng.random((count, STEPS, PIXELS)) < NOISE
    seen = rng.random((count, PIXELS)) >= MISSED
    sample = np.arange(count)[:, None] + 0 * time
    pixel = np.arange(PIXELS)[None] + 0 * time
    x[sample[seen], time[seen], pixel[seen]] = True
    return x.astype(np.uint8), label


def lagged(x):
    """[count, steps, pixels] as [count, steps, pixels * (LONGEST + 1)]: every delay."""
    padded = np.concatenate([np.zeros((len(x), LONGEST, PIXELS)), x], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, LONGEST + 1, axis=1)
    return windows[..., ::-1].reshape(len(x), STEPS, -1).astype(np.float32)


def kernels(weights, delays, sigma):
    """Weight of each synapse spread over delays; its derivative by the delay."""
    lag = np.arange(LONGEST + 1)
    z = (lag - delays[..., None]) / sigma
    g = np.exp(-0.5 * z * z)
    g /= g.sum(axis=-1, keepdims=True)
    mean = (g * z).sum(axis=-1, keepdims=True)
    return g, weights[..., None] * g * (z - mean) / sigma


def forward(current):
    """Leaky integrate-and-fire, reset by subtraction; counts, membranes, spikes."""
    beta = 1 - 2.0 ** -LEAK
    v = np.zeros_like(current[:, 0])
    membranes, spikes = [], []
    for t in range(STEPS):
        v = v * beta + current[:, t]
        s = (v > THRESHOLD / SCALE).astype(np.float32)
        membranes.append(v)
        spikes.append(s)
        v = v - s * THRESHOLD / SCALE
    return np.stack(spikes, 1).sum(axis=1), np.stack(membranes, 1)


def backward(grad, membranes):
    """Gradient by the currents, with a surrogate for that of the spike."""
    beta = 1 - 2.0 ** -LEAK
    surrogate = 1 / (1 + 2.0 * np.abs(membranes - THRESHOLD / SCALE)) ** 2
    out = np.zeros_like(membranes)
    carry = np.zeros_like(grad)
    for t in range(STEPS - 1, -1, -1):
        carry = carry * beta + grad * surrogate[:, t]
        out[:, t] = carry
    return out


def train(seed, learn_delays=True, epochs=60, batch=128, count=6000):
    rng = np.random.default_rng(seed)
    x, label = edges(count, rng)
    x = lagged(x)
    params = {"weights": rng.normal(0.6, 0.05, (CLASSES, PIXELS)),
              "delays": rng.uniform(0, LONGEST, (CLASSES, PIXELS))}
    if not learn_delays:
        params["delays"] = np.round(params["delays"])
    adam = Adam(params)
    total = epochs * (count // batch)
    soft = 0.75 if learn_delays else 0.0      # part of the training with soft delays
    step = 0
    for epoch in range(epochs):
        order, losses = rng.permutation(count), []
        for at in range(0, count - batch + 1, batch):
            part = step / total
            hard = part >= soft
            if hard:
                params["delays"][:] = np.clip(np.round(params["delays"]), 0, LONGEST)
            sigma = 0.05 if hard else 5.0 * (0.2 / 5.0) ** (part / soft)
            g, by_delay = kernels(params["weights"], params["delays"], sigma)
            w = params["weights"]
            if hard:                         # quantized weights, straight through
                w = np.clip(np.round(w * SCALE), *WEIGHTS) / SCALE
            pick = order[at:at + batch]
            kernel = (w[..., None] * g).reshape(CLASSES, -1).astype(np.float32)
            counts, membranes = forward(x[pick] @ kernel.T)
            loss, grad = softmax_cross_entropy(counts * 2.0, label[pick])
            losses.append(loss)
            flow = backward(grad.astype(np.float32), membranes)
            full = (flow.reshape(-1, CLASSES).T @ x[pick].reshape(-1, x.shape[-1])
                    ).reshape(g.shape)
            grads = {"weights": (full * g).sum(axis=-1),
                     "delays": 0 * params["delays"] if hard else (full * by_delay).sum(axis=-1)}
            adam.step(grads, {"weights": cosine(step, total, 0.02, 0.001),
                              "delays": 0.0 if hard else cosine(part / soft, 1, 0.4, 0.02)})
            params["delays"][:] = np.clip(params["delays"], 0, LONGEST)
            step += 1
        if epoch % 10 == 9:
            progress(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}")
    weights = np.clip(np.round(params["weights"] * SCALE), *WEIGHTS).astype(np.int64)
    return {"weights": weights, "delays": np.round(params["delays"]).astype(np.int64)}


def reference(x, weights, delays):
    """The integer network as network.yaml defines it: classes and counts."""
    v = np.zeros((len(x), CLASSES), np.int64)
    counts = np.zeros_like(v)
    padded = np.concatenate([np.zeros((len(x), LONGEST, PIXELS), np.int64), x], axis=1)
    pixel = np.arange(PIXELS)
    for t in range(STEPS):
        for n in range(CLASSES):
            v[:, n] += (padded[:, t + LONGEST - delays[n], pixel] * weights[n]).sum(axis=1)
        v = np.clip(v, *MEMBRANE)
        spike = v > THRESHOLD
        counts += spike
        v = v - spike * THRESHOLD
        v = v - (v >> LEAK)
    return counts.argmax(axis=1), counts


def report(name, weights, x, label):
    guess, counts = reference(x, **weights)
    right = int((guess == label).sum())
    print(f"{name}: accuracy {right / len(x):.4f} ({right} of {len(x)}), "
          f"output spikes a sample {counts.sum() / len(x):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only evaluate weights.npz")
    parser.add_argument("--compare", action="store_true",
                        help="delays left as drawn, and delays by hand; write nothing")
    args = parser.parse_args()
    x, label = edges(SAMPLES, np.random.default_rng(77))
    many = edges(10000, np.random.default_rng(78))
    if args.compare:
        report("delays as drawn, 10000 edges", train(1, learn_delays=False), *many)
        lag = np.outer(SPEEDS, np.arange(PIXELS))
        hand = {"delays": np.concatenate([lag[:, ::-1], lag]),
                "weights": np.full((CLASSES, PIXELS), 6)}
        report("delays by hand, equal weights, 10000 edges", hand, *many)
        return
    if args.check:
        with np.load(HERE / "weights.npz") as file:
            weights = {k: file[k].astype(np.int64) for k in file}
    else:
        weights = train(1)
        save_npz(HERE / "weights.npz", **weights)
        save_npz(HERE / "samples.npz", x=x, label=label)
    report("shipped", weights, x, label)
    report("10000 edges", weights, *many)
    print(weights["weights"], weights["delays"], sep="\n")


if __name__ == "__main__":
    main()

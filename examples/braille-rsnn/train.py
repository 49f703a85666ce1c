"""Train the recurrent spiking network of this example.

    python examples/braille-rsnn/train.py

writes net.nir and samples.npz beside this file and prints the accuracy of the
network in real numbers.  See README.md for the definitions and for the import
that makes network.yaml and weights.npz of net.nir.

How it trains: back-propagation through time with a surrogate for the derivative
of the spike, in float32.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import Adam, cosine, progress, save_npz, softmax_cross_entropy  # noqa: E402
import numpy as np  # noqa: E402

# A finger with 4 x 3 taxels slides over one Braille cell of 2 x 3 dots ------
LETTERS = {                     # raised dots, numbered 1..6 down the columns
    " ": (), "A": (1,), "E": (1, 5), "I": (2, 4), "O": (1, 3, 5),
    "U": (1, 3, 6), "Y": (1, 3, 4, 5, 6),
}
STEPS = 128
TAXELS = 12
ROWS = np.repeat(np.linspace(-0.25, 2.25, 4), 3)     # in distances of dots
COLUMNS = np.tile(np.linspace(0.0, 0.8, 3), 4)
REACH = 0.45                    # of a dot, in distances of dots
EVENT = 0.09                    # rise in pressure that gives a spike

# The network -----------------------------------------------------------------
DT = 1e-4
HIDDEN = 40
TAU_SYN = {"hidden": 4e-4, "out": 4e-4}
TAU_MEM = {"hidden": 8e-4, "out": 8e-4}

# The training ----------------------------------------------------------------
SEED = 3
TRAIN, TEST = 2800, 700
BATCH = 100
EPOCHS = 30
RATE, RATE_END = 4e-3, 4e-4
LOGIT_GAIN = 0.5
SURROGATE = 5.0                 # steepness


def dots(letter):
    """Positions (row, column) of the raised dots."""
    return [((d - 1) % 3, (d - 1) // 3) for d in LETTERS[letter]]


def strokes(labels, rng):
    """Spikes [samples, STEPS, TAXELS] of one stroke over each letter."""
    names = list(LETTERS)
    n = len(labels)
    t = np.arange(STEPS)
    speed = rng.uniform(0.85, 1.15, n)[:, None] * 3.6 / STEPS
    start = rng.uniform(-1.5, -1.2, n)[:, None]
    offset = rng.normal(0, 0.16, n)[:, None]
    force = rng.uniform(0.8, 1.2, n)[:, None, None]
    x = start + speed * t                                    # finger along the row
    pressure = np.zeros((n, STEPS, TAXELS))
    for k, name in enumerate(names):
        of = np.flatnonzero(labels == k)
        for row, column in dots(name):
            dx = x[of][:, :, None] + COLUMNS - column
            dy = (ROWS - row + offset[of])[:, None, :]
            pressure[of] += np.exp(-(dx ** 2 + dy ** 2) / (2 * REACH ** 2))
    pressure = pressure * force + rng.normal(0, 0.03, pressure.shape)
    spikes = np.zeros(pressure.shape, np.uint8)
    level = pressure[:, 0].copy()
    for step in range(1, STEPS):                             # send on delta
        up = pressure[:, step] > level + EVENT
        down = pressure[:, step] < level - EVENT
        spikes[:, step] = up
        level = np.where(up | down, pressure[:, step], level)
    return spikes


def data(count, rng):
    labels = rng.permutation(np.arange(count) % len(LETTERS))
    return strokes(labels, rng), labels


def surrogate(v):
    """Derivative of the spike at v - threshold."""
    return 1.0 / (1.0 + SURROGATE * np.abs(v)) ** 2


def forward(p, x):
    """All states and spikes, time first."""
    n = x.shape[0]
    a1, b1 = 1 - DT / TAU_SYN["hidden"], 1 - DT / TAU_MEM["hidden"]
    a2, b2 = 1 - DT / TAU_SYN["out"], 1 - DT / TAU_MEM["out"]
    i1 = np.zeros((n, HIDDEN), np.float32)
    v1, s1 = i1.copy(), i1.copy()
    i2 = np.zeros((n, len(LETTERS)), np.float32)
    v2 = i2.copy()
    trace = []
    for t in range(x.shape[1]):
        i1 = np.float32(a1) * i1 + x[:, t] @ p["in"].T + s1 @ p["rec"].T
        raw1 = np.float32(b1) * v1 + i1
        before, s1 = s1, (raw1 > 1).astype(np.float32)
        v1 = raw1 * (1 - s1)
        i2 = np.float32(a2) * i2 + s1 @ p["out"].T
        raw2 = np.float32(b2) * v2 + i2
        s2 = (raw2 > 1).astype(np.float32)
        v2 = raw2 * (1 - s2)
        trace.append((before, raw1, s1, raw2, s2))
    return trace


def backward(p, x, trace, g_counts):
    """Gradients; g_counts is that of the output's spike counts."""
    a1, b1 = 1 - DT / TAU_SYN["hidden"], 1 - DT / TAU_MEM["hidden"]
    a2, b2 = 1 - DT / TAU_SYN["out"], 1 - DT / TAU_MEM["out"]
    g = {k: np.zeros_like(v) for k, v in p.items()}
    n = x.shape[0]
    gi1 = np.zeros((n, HIDDEN), np.float32)
    gv1, gs1_next = gi1.copy(), gi1.copy()
    gi2 = np.zeros((n, len(LETTERS)), np.float32)
    gv2 = gi2.copy()
    for t in reversed(range(x.shape[1])):
        before, raw1, s1, raw2, s2 = trace[t]
        graw2 = gv2 * (1 - s2) + g_counts * surrogate(raw2 - 1)
        gi2 = gi2 + graw2
        g["out"] += gi2.T @ s1
        gs1 = gi2 @ p["out"] + gs1_next
        graw1 = gv1 * (1 - s1) + gs1 * surrogate(raw1 - 1)
        gi1 = gi1 + graw1
        g["in"] += gi1.T @ x[:, t]
        g["rec"] += gi1.T @ before
        gs1_next = gi1 @ p["rec"]
        gi1, gv1 = np.float32(a1) * gi1, np.float32(b1) * graw1
        gi2, gv2 = np.float32(a2) * gi2, np.float32(b2) * graw2
    return g


def accuracy(p, x, label):
    counts = sum(t[4] for t in forward(p, x.astype(np.float32)))
    return float((counts.argmax(1) == label).mean())


def write_nir(path, p):
    """The graph as the NIR package writes it; the input gain of a CubaLIF of these constants is one."""
    import h5py

    def neuron(group, n, which):
        ones = np.ones(n)
        syn, mem = TAU_SYN[which], TAU_MEM[which]
        fields = {"tau_syn": syn, "tau_mem": mem, "r": mem / DT, "w_in": syn / DT,
                  "v_leak": 0.0, "v_reset": 0.0, "v_threshold": 1.0}
        group["type"] = "CubaLIF"
        for name, value in fields.items():
            group[name] = ones * value

    with h5py.File(path, "w", track_order=False) as f:
        f["version"] = "1.0.8"
        node = f.create_group("node")
        node["type"] = "NIRGraph"
        nodes = node.create_group("nodes")
        for name, count in (("input", TAXELS), ("output", len(LETTERS))):
            g = nodes.create_group(name)
            g["type"] = name.capitalize()
            g["shape"] = np.array([count])
        for name, key in (("fc1", "in"), ("rec", "rec"), ("fc2", "out")):
            g = nodes.create_group(name)
            g["type"] = "Linear"
            g["weight"] = p[key]
        neuron(nodes.create_group("hidden"), HIDDEN, "hidden")
        neuron(nodes.create_group("letter"), len(LETTERS), "out")
        edges = [("input", "fc1"), ("fc1", "hidden"), ("hidden", "rec"), ("rec", "hidden"),
                 ("hidden", "fc2"), ("fc2", "letter"), ("letter", "output")]
        text = h5py.string_dtype()
        node.create_dataset("edges", data=np.array(edges, object), dtype=text)


def main():
    rng = np.random.default_rng(SEED)
    x, label = data(TRAIN, rng)
    x_test, label_test = data(TEST, rng)
    progress(f"{x.mean():.4f} of the inputs are spikes")

    def draw(rows, columns, gain):
        return (rng.normal(0, gain / np.sqrt(columns), (rows, columns))).astype(np.float32)

    p = {"in": draw(HIDDEN, TAXELS, 2.0), "rec": draw(HIDDEN, HIDDEN, 0.3),
         "out": draw(len(LETTERS), HIDDEN, 1.0)}
    adam = Adam(p)
    batches = TRAIN // BATCH
    for epoch in range(EPOCHS):
        order = rng.permutation(TRAIN)
        total = 0.0
        for b in range(batches):
            rows = order[b * BATCH:(b + 1) * BATCH]
            inputs = x[rows].astype(np.float32)
            trace = forward(p, inputs)
            counts = sum(t[4] for t in trace)
            loss, g = softmax_cross_entropy(LOGIT_GAIN * counts, label[rows])
            total += loss
            rate = cosine(epoch * batches + b, EPOCHS * batches, RATE, RATE_END)
            adam.step(backward(p, inputs, trace, (LOGIT_GAIN * g).astype(np.float32)), rate)
        if epoch % 5 == 4:
            progress(f"epoch {epoch + 1}: loss {total / batches:.3f}, "
                     f"held out {accuracy(p, x_test, label_test):.4f}")
    print(f"real numbers: {accuracy(p, x, label):.4f} of {TRAIN} trained, "
          f"{accuracy(p, x_test, label_test):.4f} of {TEST} held out")
    write_nir(HERE / "net.nir", p)
    save_npz(HERE / "samples.npz", x=x_test, label=label_test)


if __name__ == "__main__":
    main()

"""Jets of five classes, made from a simple shower, and the sixteen numbers that a tagger sees of each.

A stand-in for the jets of the hls4ml tagger (quark, gluon, W, Z, top), not a simulation of a detector: decays are
exact two-body kinematics, radiation is a handful of emissions with falling spectra.  README.md says what is drawn.
"""

import numpy as np

CLASSES = ["gluon", "quark", "w", "z", "top"]
FEATURES = ["log mass", "log groomed mass", "multiplicity", "sum z log z",
            "c1 b0", "c1 b1", "c1 b2", "c2 b1", "c2 b2", "d2 b1", "d2 b2", "m2 b1", "m2 b2", "n2 b1", "n2 b2",
            "leading z"]
SLOTS = 24              # constituents that are kept: three cores and 21 emissions
RADIUS = 0.8            # of a jet
M_W, M_Z, M_TOP, M_B = 80.4, 91.2, 172.8, 4.8


def boosted(vector, parent):
    """Four-vectors (E, x, y, z) from the rest frame of `parent` to where it moves."""
    mass = np.sqrt(np.maximum(parent[:, 0] ** 2 - (parent[:, 1:] ** 2).sum(1), 1e-6))
    beta = parent[:, 1:] / parent[:, :1]
    gamma = parent[:, 0] / mass
    along = (beta * vector[:, 1:]).sum(1)
    square = np.maximum((beta ** 2).sum(1), 1e-12)
    energy = gamma * (vector[:, 0] + along)
    more = ((gamma - 1) * along / square + gamma * vector[:, 0])[:, None] * beta
    return np.column_stack([energy, vector[:, 1:] + more])


def decayed(parent, mass, first, second, rng):
    """Two daughters of masses `first` and `second`, isotropic in the parent's rest frame."""
    n = len(parent)
    e1 = (mass ** 2 + first ** 2 - second ** 2) / (2 * mass)
    p = np.sqrt(np.maximum(e1 ** 2 - first ** 2, 0.0))
    cosine, phi = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine ** 2)
    direction = np.column_stack([sine * np.cos(phi), sine * np.sin(phi), cosine])
    one = np.column_stack([np.broadcast_to(e1, n), p[:, None] * direction])
    two = np.column_stack([np.broadcast_to(mass - e1, n), -p[:, None] * direction])
    return boosted(one, parent), boosted(two, parent)


def moving(mass, pt):
    """A particle of this mass and momentum, along the x axis."""
    zero = np.zeros_like(pt)
    return np.column_stack([np.sqrt(pt ** 2 + mass ** 2), pt, zero, zero])


def prongs(label, rng):
    """The partons of each jet: transverse momentum, two angles from the jet's axis, and how many there are.  [n, 3]"""
    n = len(label)
    pt = rng.uniform(900, 1100, n)
    out = np.zeros((n, 3, 4))
    out[:, 0] = moving(0.0, pt)
    for name, mass in (("w", M_W), ("z", M_Z)):
        at = label == CLASSES.index(name)
        width = {"w": 2.1, "z": 2.5}[name]
        drawn = np.clip(mass + width / 2 * rng.standard_cauchy(at.sum()), 60, 120)
        out[at, 0], out[at, 1] = decayed(moving(drawn, pt[at]), drawn, 0.3, 0.3, rng)
    at = label == CLASSES.index("top")
    w_mass = np.clip(M_W + 1.05 * rng.standard_cauchy(at.sum()), 60, 120)
    b, w = decayed(moving(M_TOP, pt[at]), M_TOP, M_B, w_mass, rng)
    one, two = decayed(w, w_mass, 0.3, 0.3, rng)
    out[at] = np.stack([b, one, two], 1)
    count = np.select([label < 2, label < 4], [1, 2], 3)
    momentum = np.hypot(out[..., 1], out[..., 2])
    there = np.arange(3) < count[:, None]
    safe = np.where(there, momentum, 1.0)
    eta = np.arcsinh(np.where(there, out[..., 3], 0.0) / safe)
    phi = np.where(there, np.arctan2(out[..., 2], np.where(there, out[..., 1], 1.0)), 0.0)
    return np.where(there, momentum, 0.0), eta, phi, count


def constituents(label, rng):
    """Fractions of the jet's momentum and two angles of its constituents.  [n, SLOTS]"""
    n = len(label)
    pt, eta, phi, count = prongs(label, rng)
    # A gluon radiates 9/4 of what a quark does; a decay's quarks start at lower scales.
    gluon = label == CLASSES.index("gluon")
    mean = np.select([gluon, label == CLASSES.index("quark"), count == 2], [15.0, 7.5, 10.0], 12.5)
    emissions = SLOTS - 3
    there = np.arange(emissions) < rng.poisson(mean)[:, None]
    of = (rng.random((n, emissions)) * count[:, None]).astype(int)
    rows = np.arange(n)[:, None]
    # Momentum fractions fall like 1/z, angles like 1/angle, both over two decades and more.
    soft = np.where(gluon, 0.25, 0.2)[:, None]
    z = soft * np.exp(-rng.exponential(2.0, (n, emissions)))
    angle = np.where(count == 1, 0.6, 0.15)[:, None] * np.exp(-rng.exponential(1.7, (n, emissions)))
    turn = rng.uniform(0, 2 * np.pi, (n, emissions))
    # A prong gives to its emissions one after the other; what it keeps is its core.
    momentum, core = np.zeros((n, emissions)), pt.copy()
    for k in range(emissions):
        take = np.where(there[:, k], z[:, k], 0.0) * core[rows[:, 0], of[:, k]]
        momentum[:, k] = take
        core[rows[:, 0], of[:, k]] -= take
    e_eta = eta[rows, of] + angle * np.cos(turn)
    e_phi = phi[rows, of] + angle * np.sin(turn)
    momentum, e_eta, e_phi = (np.hstack(pair) for pair in ((core, momentum), (eta, e_eta), (phi, e_phi)))
    # Measured: energies within some per cent, directions in cells; soft ones and those outside the jet are lost.
    momentum = momentum * np.maximum(1 + rng.normal(0, 1, momentum.shape) * 0.8 / np.sqrt(momentum + 1.0), 0.0)
    e_eta, e_phi = (np.round(a / 0.02) * 0.02 for a in (e_eta, e_phi))
    momentum[(momentum < 1.0) | (np.hypot(e_eta, e_phi) > RADIUS)] = 0.0
    z = momentum / np.maximum(momentum.sum(1, keepdims=True), 1e-9)
    return z, e_eta, e_phi, momentum.sum(1)


def features(z, eta, phi, pt):
    """The sixteen numbers of FEATURES.  [n, 16]"""
    square = (eta[:, :, None] - eta[:, None]) ** 2 + (phi[:, :, None] - phi[:, None]) ** 2
    pair = z[:, :, None] * z[:, None]
    apart = np.sqrt(square)
    mass = pt * np.sqrt(np.maximum((pair * square).sum((1, 2)) / 2, 1e-12))
    kept = z * (z > 0.03)
    groomed = pt * np.sqrt(np.maximum((kept[:, :, None] * kept[:, None] * square).sum((1, 2)) / 2, 1e-12))
    out = [np.log(mass + 1), np.log(groomed + 1), (z > 0).sum(1), (z * np.log(np.maximum(z, 1e-9))).sum(1)]
    e2 = {b: (pair * apart ** b).sum((1, 2)) / 2 for b in (1, 2)}
    zero = (pair * (apart > 0)).sum((1, 2)) / 2
    out += [zero, e2[1], e2[2]]
    c, d, m, v = [], [], [], []
    for b in (1, 2):
        a = apart ** b
        weight = pair * a
        # Triples: all three angles, the smallest, and the product of the two smallest.
        triple = np.einsum("nij,njk,nki->n", z[:, :, None] ** 0.5 * a * z[:, None] ** 0.5,
                           z[:, :, None] ** 0.5 * a * z[:, None] ** 0.5,
                           z[:, :, None] ** 0.5 * a * z[:, None] ** 0.5, optimize=True) / 6
        lead = np.argsort(-z, 1)[:, :8]
        rows = np.arange(len(z))[:, None]
        zl, al = z[rows, lead], a[rows[:, :, None], lead[:, :, None], lead[:, None]]
        three = zl[:, :, None, None] * zl[:, None, :, None] * zl[:, None, None]
        sides = np.sort(np.stack(np.broadcast_arrays(al[:, :, :, None], al[:, :, None], al[:, None]), -1), -1)
        one, two = (three * sides[..., 0]).sum((1, 2, 3)) / 6, (three * sides[..., 0] * sides[..., 1]).sum((1, 2, 3)) / 6
        e = np.maximum(weight.sum((1, 2)) / 2, 1e-9)
        c.append(triple / e ** 2), d.append(triple / e ** 3), m.append(one / e), v.append(two / e ** 2)
    out += c + [np.log(x + 1e-3) for x in d] + m + v + [z.max(1)]
    return np.column_stack(out)


def jets(count, seed):
    """`count` jets, classes in turn: features [count, 16] and labels [count]."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(count) % len(CLASSES))
    parts = []
    for start in range(0, count, 1000):
        parts.append(features(*constituents(label[start:start + 1000], rng)))
    return np.vstack(parts), label

"""Synthetic calorimeter-like events: charges of the 48 trigger cells of a hexagonal module, seeded.

Deliberately simple: no detector simulation, no geometry database.  README.md
describes the model.
"""

import numpy as np

# Cells --------------------------------------------------------------------
# Three rhombi of 4x4 cells tile the hexagon; they lie in an 8x8 map, whose
# last quarter is empty.
ANGLES = np.deg2rad([90.0, 210.0, 330.0])
EDGE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def cells():
    """Positions in the 8x8 map, flattened, and centres in the plane, [48] and [48, 2]; a cell has edge 1."""
    index, centre = [], []
    for r in range(8):
        for c in range(8):
            if r >= 4 and c >= 4:
                continue
            if r < 4 and c < 4:
                at = (3.5 - r) * EDGE[0] + (3.5 - c) * EDGE[1]
            elif r < 4:
                at = (3.5 - r) * EDGE[0] + (c - 3.5) * EDGE[2]
            else:
                at = (r - 3.5) * EDGE[2] + (3.5 - c) * EDGE[1]
            index.append(8 * r + c)
            centre.append(at)
    return np.array(index), np.array(centre)


INDEX, CENTRE = cells()

# Showers ------------------------------------------------------------------
NOISE = 1.0                     # counts, per cell
PILE_UP = 3.0                   # mean counts of soft particles, per cell
CUT = 3                         # counts below which a cell reads zero


def charges(count, seed):
    """Charges [count, 48] in whole counts; every event has at least one cell that is not zero."""
    rng = np.random.default_rng(seed)
    total = np.zeros((count, len(INDEX)))
    # One to five showers; energies fall as a power law, from 60 to 6000 counts.
    showers = 1 + np.minimum(rng.poisson(0.9, count), 4)
    for n in range(5):
        present = showers > n
        energy = np.where(present, 60.0 / (1 - rng.random(count) * (1 - 0.01 ** 1.1)) ** (1 / 1.1), 0.0)
        # Anywhere on the module, and a little beyond its border.
        radius, angle = 4.4 * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
        axis = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        # Slanted showers are longer along one direction; late ones are broad.
        core = 0.35 + 0.5 * rng.random(count) ** 2
        halo, share = 3 * core, 0.1 + 0.3 * rng.random(count)
        turn, stretch = np.pi * rng.random(count), 1 + 0.8 * rng.random(count)
        along = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        d = CENTRE[None] - axis[:, None]
        u = (d * along[:, None]).sum(2)
        squared = (d ** 2).sum(2) - u ** 2 + (u / stretch[:, None]) ** 2
        profile = sum(f[:, None] * np.exp(-squared / (2 * s[:, None] ** 2)) / (2 * np.pi * s * s * stretch)[:, None]
                      for f, s in ((1 - share, core), (share, halo)))
        # Sampling: what a cell sees fluctuates as the square root of the number of secondaries.
        seen = energy[:, None] * profile
        total += rng.poisson(seen / 2.0) * 2.0
    total += rng.exponential(PILE_UP, total.shape) * (rng.random(total.shape) < 0.3)
    total += rng.normal(0.0, NOISE, total.shape)
    total = np.where(total < CUT, 0, np.floor(total)).astype(np.int64)
    empty = total.sum(1) == 0
    total[empty, 0] = CUT
    return total


def normalised(charge):
    """What the encoder sees: shares of the sum of all cells in 1/256, rounded down, as an 8x8 map; the sum travels apart."""
    share = np.minimum(charge * 256 // charge.sum(1, keepdims=True), 255)
    x = np.zeros((len(charge), 64), dtype=np.int64)
    x[:, INDEX] = share
    return x.reshape(-1, 8, 8, 1)

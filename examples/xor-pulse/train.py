"""Write the samples of this example.

    python examples/xor-pulse/train.py

writes samples.npz beside this file. The network needs no training: its weights
stand in network.yaml. margins.py sweeps them.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import save_npz  # noqa: E402
import numpy as np  # noqa: E402

SAMPLES, SLOTS = 800, 32
PULSE = {1: 0.75, 0: 0.10}      # probability of a pulse in a slot
SEED = 11


def pulses(bits, rng):
    """Pulse trains [samples, SLOTS, 2] of bits [samples, 2]."""
    rate = np.where(bits == 1, PULSE[1], PULSE[0])
    return (rng.random((len(bits), SLOTS, 2)) < rate[:, None, :]).astype(np.uint8)


def main():
    rng = np.random.default_rng(SEED)
    bits = rng.permutation(np.arange(SAMPLES) % 4)
    bits = np.stack([bits & 1, bits >> 1], axis=1)
    save_npz(HERE / "samples.npz", x=pulses(bits, rng), label=bits[:, 0] ^ bits[:, 1])


if __name__ == "__main__":
    main()

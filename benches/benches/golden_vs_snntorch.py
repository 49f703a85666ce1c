"""The snnTorch half of golden_vs_snntorch: prints a line for each line it reads.

Arguments: weights.npz, samples.npz, and for each layer its threshold. The first line out is about the versions; then each
line in is one timed run over all samples, and the line out its seconds, and after an empty line the classes.
"""

import sys
import time

import numpy as np
import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, weights, thresholds, beta):
        super().__init__()
        self.linear = nn.ModuleList()
        self.leaky = nn.ModuleList()
        for w, threshold in zip(weights, thresholds):
            linear = nn.Linear(w.shape[1], w.shape[0], bias=False)
            linear.weight.data = torch.from_numpy(w.astype(np.float32))
            self.linear.append(linear)
            # The reset of the example: to zero, in the step of the spike.
            self.leaky.append(
                snn.Leaky(beta=beta, threshold=threshold, reset_mechanism="zero", reset_delay=False)
            )

    def forward(self, x):
        membranes = [leaky.init_leaky() for leaky in self.leaky]
        count = 0
        # All steps of the first layer's product at once: quicker than one a step.
        currents = self.linear[0](x)
        for current in currents:
            for n, leaky in enumerate(self.leaky):
                if n > 0:
                    current = self.linear[n](spikes)
                spikes, membranes[n] = leaky(current, membranes[n])
            count = count + spikes
        return count


def main():
    weights, samples, threads, beta, *thresholds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    arrays = np.load(weights)
    thresholds = dict(t.split("=") for t in thresholds)
    layers = [arrays[name] for name in thresholds]
    net = Net(layers, [float(t) for t in thresholds.values()], float(beta)).eval()
    # Steps first, and in the type of the weights: what the run itself needs is not timed.
    x = np.load(samples)["x"].transpose(1, 0, 2)
    x = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    print(f"snnTorch {snn.__version__}, PyTorch {torch.__version__}", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            start = time.perf_counter()
            count = net(x)
            seconds = time.perf_counter() - start
            if line.strip():
                print(seconds, flush=True)
            else:
                print(*count.argmax(1).tolist(), flush=True)


main()

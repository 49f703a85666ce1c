"""Derives and fits the 160 spiking neurons that hold a blimp at its height.

    python examples/blimp-pid/train.py            # writes weights.npz and plant.npz
    python examples/blimp-pid/train.py --check    # only evaluates them
    python examples/blimp-pid/train.py --search   # how the gains were chosen

The plant of plant.yaml, the integer network of network.yaml and a
conventional integer PID are all written out here, in numpy, apart from
nervure's own code: plant.npz carries the heights that this file expects
(`height`), and a test holds nervure's golden loop against them.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import progress, save_npz  # noqa: E402  (pins threads, before numpy)

import numpy as np  # noqa: E402

HERE = Path(__file__).resolve().parent
RATE = 10                     # control steps a second
STEPS, EPISODES = 400, 100    # 40 s each
BAND = 104858                 # 0.1 m, in 2^-20 m

# --- the blimp, SI units; a step of DT by forward Euler ---------------------
DT = 1 / RATE
MASS = 0.21 + 0.12            # envelope and gondola; added mass, half the air displaced
DRAG = 0.126                  # N / (m/s)^2
THRUST = 0.06 / 127           # N per unit of the motor's command
LAG = 0.25                    # s, of the motor

# Gains of plant.yaml: LSB of what they make per LSB of what they read.
HEIGHT_SHIFT, SPEED_SHIFT, MOTOR_SHIFT = 16, 32, 16
GAIN = {
    "height_speed": round(DT * 2 ** HEIGHT_SHIFT),
    "speed_motor": round(DT * THRUST / MASS * 2 ** (20 - 8 + SPEED_SHIFT)),
    "speed_drag": round(DT * DRAG / MASS * 2 ** (SPEED_SHIFT - 20)),
    "speed_force": round(DT / MASS * 2 ** (20 - 14 + SPEED_SHIFT)),
    "motor_motor": round((1 - DT / LAG) * 2 ** MOTOR_SHIFT),
    "motor_command": round(DT / LAG * 2 ** (8 + MOTOR_SHIFT)),
}


def half_up(value, shift):
    return (value + (1 << (shift - 1))) >> shift


def signed(value, bits):
    return np.clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


class Plant:
    """plant.yaml, many episodes at once."""

    def __init__(self, outside):
        self.outside = outside
        zero = np.zeros(len(outside["target"]), np.int64)
        self.height, self.speed, self.motor, self.command = (zero.copy() for _ in range(4))
        self.t = 0

    def sense(self):
        o, t = self.outside, self.t
        error = 4096 * (o["target"][:, t] + o["noise"][:, t]) - self.height
        return signed(half_up(error, 12), 11)

    def act(self, drive):
        o, t = self.outside, self.t
        speed = ((self.speed << SPEED_SHIFT) + GAIN["speed_motor"] * self.motor
                 - GAIN["speed_drag"] * self.speed * np.abs(self.speed)
                 + GAIN["speed_force"] * (o["lift"][:, t] + o["gust"][:, t]))
        height = (self.height << HEIGHT_SHIFT) + GAIN["height_speed"] * self.speed
        motor = GAIN["motor_motor"] * self.motor + GAIN["motor_command"] * self.command
        self.command = signed(half_up(drive, 4), 8)
        self.motor = signed(half_up(motor, MOTOR_SHIFT), 16)
        self.height = signed(half_up(height, HEIGHT_SHIFT), 28)
        self.speed = signed(half_up(speed, SPEED_SHIFT), 24)
        self.t += 1


def outside(count, rng):
    """Set-points (2^-8 m), lift and gusts (2^-14 N), sensor noise (2^-8 m).

    A set-point after 1 s; halfway, another one (odd episodes) or a force that
    stays (even ones)."""
    t = np.arange(STEPS)
    first, second = rng.uniform(0.5, 2.0, (2, count))
    lift = rng.uniform(-0.016, 0.010, count)           # never neutral
    size = rng.uniform(0.008, 0.020, count) * rng.choice([-1, 1], count)
    first[0], lift[0], size[0] = 1.5, -0.012, -0.015
    even = np.arange(count) % 2 == 0
    second[even], size[~even] = first[even], 0
    late = t >= STEPS // 2
    target = np.where(t < RATE, 0, np.where(late, second[:, None], first[:, None]))
    gust = np.where(late, size[:, None], 0)
    noise = np.clip(np.round(rng.normal(0, 2.0, (count, STEPS))), -8, 7)
    whole = lambda a, scale: np.round(a * scale).astype(np.int64)
    return {"target": whole(target, 256), "lift": whole(lift, 2 ** 14)[:, None] + 0 * t,
            "gust": whole(gust, 2 ** 14), "noise": noise.astype(np.int64)}


# --- the network ------------------------------------------------------------

def tiles(count, first, growth):
    """Start and width of `count` intervals beginning half a width below 0."""
    width = first * growth ** np.arange(count)
    return np.concatenate([[0], np.cumsum(width)[:-1]]) - first / 2, width


SIGN = np.array([1, -1])
ENC = {"count": 32, "first": 3.0, "growth": 1.06, "threshold": 1024}
POP = {"p": {"count": 10, "first": 5.0, "growth": 1.20, "threshold": 256, "gain": 1},
       "d": {"count": 18, "first": 3.0, "growth": 1.10, "threshold": 512, "gain": 2}}
AGO = 4                       # steps, of the delayed spikes that `d` compares with
LEVELS = 20                   # of the integrator, each sign
E, P, D, I = (2 * n for n in (ENC["count"], POP["p"]["count"], POP["d"]["count"], LEVELS))


def staircase(shape, signal_gain=1):
    """Gain and bias of each neuron: it fires ever more often while its signal
    crosses its tile, then in every step (membranes leak by half a step)."""
    start, width = tiles(shape["count"], shape["first"], shape["growth"])
    gain = shape["threshold"] / (2 * width) / signal_gain
    bias = shape["threshold"] / 2 - shape["threshold"] / (2 * width) * start
    return gain, bias


def derive(gains):
    """Everything but the read-out's weights for P and D."""
    gain, bias = staircase(ENC)
    _, width = tiles(ENC["count"], ENC["first"], ENC["growth"])
    value = np.concatenate([width, -width])            # what a spike of `encode` means
    both = lambda a: np.concatenate([a, a])
    w = {"encode": np.round(np.concatenate([gain, -gain]))[:, None],
         "encode_bias": np.round(both(bias))}
    for name, shape in POP.items():
        gain, bias = staircase(shape, shape["gain"])
        sign = np.repeat(SIGN, shape["count"])
        compared = np.concatenate([value, -value]) if name == "d" else value
        w[name] = np.round((both(gain) * sign)[:, None] * compared[None])
        w[f"{name}_bias"] = np.round(both(bias))
    step = gains["level"] / (gains["ki"] * DT / 256) / 3
    # Beyond `reach` an error counts no more: little winds up while the blimp is on its way.
    start, _ = tiles(ENC["count"], ENC["first"], ENC["growth"])
    heard = np.where(both(start) < gains["reach"] * 256, value, 0)
    w["integrate"] = np.round(np.repeat(SIGN, LEVELS)[:, None] * heard[None] / 3)
    w["integrate_threshold"] = both(np.round(step * (np.arange(LEVELS) + 0.5)))
    w["integrate_self"] = np.diag(w["integrate_threshold"])
    return {k: v.astype(np.int64) for k, v in w.items()}


class Network:
    """network.yaml, many episodes at once."""

    def __init__(self, w, count):
        self.w = w
        sizes = {"encode": E, "p": P, "d": D, "integrate": I, "drive": 1}
        self.v = {k: np.zeros((count, n), np.int64) for k, n in sizes.items()}
        self.current = np.zeros((count, D), np.int64)
        self.held = np.zeros((count, I), np.int64)
        self.ago = [np.zeros((count, E), np.int64)] * AGO
        self.filtered = np.zeros((count, P + D + I))

    def lif(self, name, current, bits):
        """Membranes leak by half; reset by subtraction; a floor at minus the threshold."""
        threshold = ENC["threshold"] if name == "encode" else POP[name]["threshold"]
        v = self.v[name]
        v = signed(v - (v >> 1) + current, bits)
        spikes = (v > threshold).astype(np.int64)
        self.v[name] = np.maximum(v - spikes * threshold, -threshold)
        return spikes

    def step(self, error):
        w = self.w
        e = self.lif("encode", error[:, None] * w["encode"][:, 0] + w["encode_bias"], 14)
        p = self.lif("p", e @ w["p"].T + w["p_bias"], 12)
        both = np.concatenate([e, self.ago[0]], axis=1)
        self.ago = [*self.ago[1:], e]
        self.current = signed(self.current - (self.current >> 1) + both @ w["d"].T, 15)
        d = self.lif("d", self.current + w["d_bias"], 15)
        v = self.v["integrate"] + e @ w["integrate"].T + self.held @ w["integrate_self"].T
        v = signed(v, 13)
        self.held = (v > w["integrate_threshold"]).astype(np.int64)
        self.v["integrate"] = v - self.held * w["integrate_threshold"]
        all_spikes = np.concatenate([p, d, self.held], axis=1)
        self.spikes = e.sum() + all_spikes.sum()
        self.filtered = self.filtered / 2 + all_spikes
        v = self.v["drive"]
        self.v["drive"] = signed(v - (v >> 1) + all_spikes @ w["drive"].T, 16)
        return self.v["drive"][:, 0]


def fly(w, world, teacher=None, gains=None):
    """Heights [episodes, steps]; with `gains`, also features and targets of the fit."""
    plant, net = Plant(world), Network(w, len(world["target"]))
    heights, features, targets, spikes = [], [], [], 0
    low, before = np.zeros(len(world["target"])), None
    for _ in range(STEPS):
        heights.append(plant.height)
        error = plant.sense()
        drive = net.step(error)
        spikes += net.spikes
        if gains:
            clean = world["target"][:, plant.t] - plant.height / 4096
            target = 16 / 256 * (gains["kp"] * clean - gains["kd"] * plant.speed / 4096)
            features.append(net.filtered[:, :P + D].copy())
            targets.append(target)
            if teacher:
                integral = net.filtered[:, P + D:] @ w["drive"][0, P + D:]
                drive = np.round(target + integral).astype(np.int64)
        plant.act(drive)
    heights = np.stack(heights, 1)
    if gains:
        return heights, np.concatenate(features), np.concatenate(targets)
    return heights, spikes / (len(heights) * STEPS)


def fit(gains, count=60, rounds=4, seed=3):
    """Least squares for P and D of the read-out, at what the blimp meets under its own control."""
    w = derive(gains)
    w["drive"] = np.zeros((1, P + D + I), np.int64)
    w["drive"][0, P + D:] = np.repeat(SIGN, LEVELS) * round(gains["level"] * 8)
    world = outside(count, np.random.default_rng(seed))
    xs, ys = [], []
    for n in range(rounds):
        _, x, y = fly(w, world, teacher=n == 0, gains=gains)
        near = np.abs(y) < 16 * 200                    # beyond, the motor is at its limit
        xs.append(x[near])
        ys.append(y[near])
        x, y = np.concatenate(xs), np.concatenate(ys)
        # What is the same for both signs, so that nothing pulls to one side.
        odd = np.concatenate([x[:, s:s + n] - x[:, s + n:s + 2 * n]
                              for s, n in ((0, P // 2), (P, D // 2))], axis=1)
        ridge = 1e-3 * len(y) * np.eye(odd.shape[1])
        half = np.linalg.solve(odd.T @ odd + ridge, odd.T @ y)
        both = [np.concatenate([h, -h]) for h in np.split(half, [P // 2])]
        w["drive"][0, :P + D] = np.clip(np.round(np.concatenate(both)), -511, 511)
    return w


# --- the conventional controller --------------------------------------------

def pid(world, kp, ki, kd, shift, reach):
    """Integers: gains over 2^8 or 2^12, derivative of an error smoothed by 2^-shift."""
    plant = Plant(world)
    count = len(world["target"])
    smooth, integral = np.zeros(count, np.int64), np.zeros(count, np.int64)
    heights = []
    for _ in range(STEPS):
        heights.append(plant.height)
        error = plant.sense()
        before = smooth
        smooth = smooth + (((error << 8) - smooth) >> shift)
        integral = integral + ki * np.clip(error, -reach, reach)
        integral = np.clip(integral, -(80 << 12), 80 << 12)
        slope = smooth - before
        plant.act((kp * error >> 4) + (integral >> 8) + (kd * slope >> 12))
    return np.stack(heights, 1)


# --- figures ----------------------------------------------------------------

def judge(heights, world):
    """RMS error, m; set-points and forces after which the height comes to stay
    within 0.1 m; mean and worst time to that, s; overshoot beyond a new
    set-point and distance after a force, m."""
    away = heights - (world["target"] << 12)
    settle, over, pushed, events = [], [], [], 0
    for h, d, t, g in zip(heights, away, world["target"], world["gust"]):
        starts = [*(np.flatnonzero((np.diff(t) != 0) | (np.diff(g) != 0)) + 1), STEPS]
        for a, b in zip(starts[:-1], starts[1:]):
            events += 1
            jump = t[a] - t[a - 1]
            out = np.flatnonzero(np.abs(d[a:b]) > BAND)
            n = out[-1] + 1 if len(out) else 0
            if n < b - a:
                settle.append(n / RATE)
            if jump:
                over.append(max(0, (d[a:b] * np.sign(jump)).max()) / 2 ** 20)
            else:
                pushed.append(np.abs(d[a:b]).max() / 2 ** 20)
    return {"rms": float(np.sqrt(((away / 2 ** 20) ** 2).mean())), "settled": len(settle),
            "events": events, "settle_max": max(settle, default=0), "settle": float(np.mean(settle)),
            "over_max": max(over), "over": float(np.mean(over)), "pushed_max": max(pushed, default=0)}


def report(name, heights, world):
    j = judge(heights, world)
    print(f"{name}: RMS {j['rms']:.4f} m, {j['settled']} of {j['events']} settled, "
          f"in {j['settle']:.2f} s (at most {j['settle_max']:.1f}), overshoot {j['over']:.4f} m "
          f"(at most {j['over_max']:.3f}), pushed at most {j['pushed_max']:.3f} m")


GAINS = {"kp": 340, "kd": 650, "ki": 14, "level": 2.5, "reach": 0.2}
PID = {"kp": 400, "ki": 28, "kd": 7000, "shift": 1, "reach": 26}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only evaluate weights.npz")
    parser.add_argument("--search", action="store_true", help="how the gains were chosen")
    args = parser.parse_args()
    world = outside(EPISODES, np.random.default_rng(77))
    if args.search:
        return search()
    if args.check:
        with np.load(HERE / "weights.npz") as file:
            w = {k: file[k].astype(np.int64) for k in file}
    else:
        w = fit(GAINS)
    heights, rate = fly(w, world)
    if not args.check:
        save_npz(HERE / "weights.npz", **w)
        save_npz(HERE / "plant.npz", **world, height=heights)
    one = {k: v[:1] for k, v in world.items()}
    report("spiking, shipped", heights, world)
    report("spiking, episode 0", heights[:1], one)
    print(f"{rate:.1f} spikes a step")
    report("exact P and D, spiking I", fly(w, world, teacher=True, gains=GAINS)[0], world)
    classic = pid(world, **PID)
    report("integer PID, shipped", classic, world)
    report("integer PID, episode 0", classic[:1], one)
    print(GAIN)


def search():
    """The best of a grid for each controller, on other episodes."""
    world = outside(40, np.random.default_rng(5))

    def cost(j):
        return j["rms"] + 0.02 * j["settle"] + 0.2 * j["over"] + 0.5 * (1 - j["settled"] / j["events"])

    def best(name, grid, run):
        found = []
        for gains in (dict(zip(grid, values)) for values in product(*grid.values())):
            j = judge(run(gains), world)
            found.append((cost(j), gains, j))
            progress(f"{name} {cost(j):.4f} {gains}")
        print(name, *min(found, key=lambda f: f[0]))

    best("integer PID:", {"kp": (280, 340, 400), "ki": (12, 19, 28),
                          "kd": (5500, 7000, 8500), "shift": (1, 2), "reach": (13, 26, 51)},
         lambda gains: pid(world, **gains))
    best("spiking:", {"kp": (280, 340, 400), "kd": (450, 550, 650), "ki": (8, 14),
                      "level": (2.5,), "reach": (0.05, 0.1, 0.2)},
         lambda gains: fly(fit(gains, count=30, rounds=3), world)[0])


if __name__ == "__main__":
    main()

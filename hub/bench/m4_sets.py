"""Writes series of several kinds as the M4 competition wrote its hourly ones: anonymous, 700 to 960 hours, 48 more to forecast.

    python3 hub/bench/m4_sets.py READINGS.csv.gz FOLDER

READINGS has columns meter_id, timestamp and kwh, hourly. For each kind, and for `mixed`, a few of every kind, it writes
FOLDER/KIND-train.csv and FOLDER/KIND-test.csv. The same readings give the same files. M4 itself is not needed.
"""

import csv
import gzip
import os
import sys
from datetime import datetime

import numpy as np

AHEAD = 48
LENGTHS = [700, 720, 748, 840, 960]


def meters(path):
    """Returns the hourly energies of each meter, NaN where missing."""
    at, out = {}, {}
    with gzip.open(path, "rt") as f:
        for row in csv.DictReader(f):
            t = at.get(row["timestamp"])
            if t is None:
                t = at[row["timestamp"]] = int(datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")).timestamp()) // 3600
            out.setdefault(row["meter_id"], {})[t] = float(row["kwh"] or "nan")
    tables = []
    for _, values in sorted(out.items()):
        first, last = min(values), max(values)
        y = np.full(last - first + 1, np.nan)
        for t, v in values.items():
            y[t - first] = v
        tables.append((first, y))
    return tables


def cut(rng, tables, together):
    """Cuts some hours without a hole from the sum of so many meters."""
    while True:
        chosen = [tables[i] for i in rng.choice(len(tables), together, replace=False)]
        first = max(f for f, _ in chosen)
        last = min(f + len(y) for f, y in chosen)
        n = int(rng.choice(LENGTHS)) + AHEAD
        if last - first < n:
            continue
        start = int(rng.integers(first, last - n + 1))
        y = sum(y[start - f:start - f + n] for f, y in chosen)
        if not np.isnan(y).any() and y.max() > y.min():
            return y


def shape(rng, bumps):
    """Returns a profile of 24 hours: a floor and some bumps."""
    hour, out = np.arange(24), np.full(24, rng.uniform(0.1, 0.6))
    for _ in range(bumps):
        d = np.abs(hour - rng.uniform(6, 22))
        out += rng.uniform(0.3, 1.2) * np.exp(-0.5 * (np.minimum(d, 24 - d) / rng.uniform(1, 4)) ** 2)
    return out / out.mean()


def red(rng, n, keep, size):
    """Returns first-order autoregressive noise with the given standard deviation."""
    e, x = rng.normal(0, size * np.sqrt(1 - keep * keep), n), 0.0
    out = np.empty(n)
    for i in range(n):
        x = keep * x + e[i]
        out[i] = x
    return out


def week(rng, weekend):
    """Returns a profile of 168 hours whose last two days are of a kind of their own, rotated by a random start."""
    work, rest = shape(rng, 2), shape(rng, 1) * weekend
    days = [work * rng.uniform(0.95, 1.05) for _ in range(5)] + [rest, rest * rng.uniform(0.8, 1.0)]
    return np.roll(np.concatenate(days), -int(rng.integers(0, 168)))


def repeat(profile, n):
    return np.tile(profile, n // len(profile) + 1)[:n]


def traffic(rng, n):
    """Cars or visits: counts by a weekly profile, with incidents."""
    level = 10 ** rng.uniform(1, 4)
    rate = level * repeat(week(rng, rng.uniform(0.4, 1.1)), n) * np.exp(red(rng, n, 0.9, rng.uniform(0.03, 0.2)))
    for _ in range(rng.poisson(2)):
        at = int(rng.integers(0, n))
        rate[at:at + int(rng.integers(2, 12))] *= rng.uniform(0.3, 1.6)
    return rng.poisson(rate).astype(float)


def trend(rng, n):
    """Steep growth or decline under a season, and now and then another level."""
    t = np.arange(n) / n
    level = 10 ** rng.uniform(2, 4) * np.exp(rng.uniform(-1.2, 1.2) * t ** rng.uniform(0.7, 1.5))
    if rng.random() < 0.4:
        level[int(rng.integers(n // 4, n)):] *= rng.uniform(0.6, 1.6)
    return np.round(level * repeat(week(rng, rng.uniform(0.7, 1.0)), n) * np.exp(red(rng, n, 0.95, rng.uniform(0.02, 0.1))), 1)


def noise(rng, n):
    """Close to a random walk, with hardly a season, or small counts."""
    if rng.random() < 0.3:
        return rng.poisson(rng.uniform(0.5, 4) * repeat(shape(rng, 2), n)).astype(float)
    walk = red(rng, n, rng.uniform(0.9, 0.999), 0.3)
    return np.round(1000 * np.exp(walk) * repeat(shape(rng, 1) ** rng.uniform(0.05, 0.3), n), 1)


def weather(rng, n):
    """A quantity that follows the sun and drifts over days: daily season alone, of changing size."""
    t = np.arange(n)
    size = np.exp(red(rng, n, 0.985, rng.uniform(0.1, 0.4)))
    wave = np.maximum(0, np.sin(2 * np.pi * (t + rng.uniform(0, 24)) / 24) + rng.uniform(-0.2, 0.6))
    return np.round(100 * (rng.uniform(0.2, 2) + size * wave + red(rng, n, 0.97, 0.1)).clip(0.01), 2)


def homes(rng, n):
    """One household: little base, meals, sudden loads."""
    chance = 0.25 * repeat(week(rng, 1.2), n)
    loads = (rng.random(n) < chance) * rng.gamma(1.5, 0.8, n)
    return np.round(0.15 + 0.3 * repeat(shape(rng, 2), n) + loads, 3)


def load(rng, n):
    """The load of a region: smooth, strong day and week."""
    level = 10 ** rng.uniform(3, 5)
    slow = red(rng, n, 0.995, rng.uniform(0.02, 0.08))
    return np.round(level * repeat(week(rng, rng.uniform(0.75, 0.95)) ** 0.4, n) * np.exp(slow + red(rng, n, 0.8, 0.01)))


def write(path, rows):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow([f"V{i + 1}" for i in range(1 + max(len(r) for _, r in rows))])
        for name, values in rows:
            out.writerow([name] + [f"{v:.10g}" for v in values])


def main(readings, folder):
    os.makedirs(folder, exist_ok=True)
    tables = meters(readings)
    kinds = {
        "meters": lambda rng: cut(rng, tables, 1),
        "sums": lambda rng: cut(rng, tables, int(rng.integers(4, 16))),
    }
    for make in (traffic, trend, noise, weather, homes, load):
        kinds[make.__name__] = lambda rng, make=make: make(rng, int(rng.choice(LENGTHS)) + AHEAD)
    share = {"meters": 60, "sums": 90, "traffic": 90, "trend": 40, "noise": 25, "weather": 24, "homes": 25, "load": 60}
    mixed = []
    for number, (kind, make) in enumerate(kinds.items()):
        rng = np.random.default_rng([2018, number])
        series = [make(rng) for _ in range(120)]
        for part, rows in (("train", [y[:-AHEAD] for y in series]), ("test", [y[-AHEAD:] for y in series])):
            write(f"{folder}/{kind}-{part}.csv", [(f"H{i + 1}", y) for i, y in enumerate(rows)])
        mixed += [make(rng) for _ in range(share[kind])]
    for part, rows in (("train", [y[:-AHEAD] for y in mixed]), ("test", [y[-AHEAD:] for y in mixed])):
        write(f"{folder}/mixed-{part}.csv", [(f"H{i + 1}", y) for i, y in enumerate(rows)])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])

#!/usr/bin/python3
"""Measures Fluxora's tree engines beside scikit-learn's and XGBoost's on the same rows in the same run, one thread each, and
writes the table into docs/benchmarks.md. Run by `make bench-engine`.

usage: engine.py ENGINE-BINARY DOCS [--runs N] [--quick | --folds-only] [--recording FILE]

Accuracy and speed are measured on the rows and folds of a backtest as the hub builds them, from real meters where they lie beside
the repository, else from synthetic ones; speed on more rows besides, on Friedman's first function with 25 columns of noise
added, noise of standard deviation 1. CPU is user and system
time of the fit alone, from getrusage; peak is memory above what the process held with the data loaded; what a prediction
costs is CPU, too. Engines take turns, so that a busy machine slows all of them alike; the figure is the median run."""
import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np

FEATURES = 30
BEGIN, END = "<!-- bench-engine: begin -->", "<!-- bench-engine: end -->"
FOLDS_BEGIN, FOLDS_END = "<!-- bench-engine folds: begin -->", "<!-- bench-engine folds: end -->"
RECORDING = "../shared/data/readings.csv.gz"

# name → (what it is called in the table, how the Go program is called, or None for a worker of this script)
BOOSTED = {
    "fluxora": ("**Fluxora gbdt**, 31 leaves", ["-leaves", "31"]),
    "hgb": ("scikit-learn HistGradientBoosting, 31 leaves", None),
    "xgb31": ("XGBoost hist, lossguide, 31 leaves", None),
    "fluxora6": ("**Fluxora gbdt**, depth 6 (64 leaves)", ["-leaves", "64", "-depth", "6"]),
    "xgb": ("XGBoost hist, depth 6", None),
}
HUB = {
    "gbdt": "**Fluxora gbdt**, as the hub fits it",
    "linear": "**Fluxora linear**, as the hub fits it",
    "boosted": "**Fluxora boosted**, as the hub fits it",
    "ensemble": "**Fluxora ensemble** of the three",
}
FORESTS = {
    "forest": ("**Fluxora forest**, 100 trees, predicts the median", ["-engine", "forest", "-trees", "100"]),
    "rf": ("scikit-learn RandomForest, 100 trees, ⅓ of the features, ≥ 5 a leaf, predicts the mean", None),
}


def table(n, seed):
    r = np.random.RandomState(seed)
    x = r.uniform(size=(n, FEATURES)).astype("<f4")
    d = x.astype("f8")
    y = 10 * np.sin(np.pi * d[:, 0] * d[:, 1]) + 20 * (d[:, 2] - 0.5) ** 2 + 10 * d[:, 3] + 5 * d[:, 4] + r.normal(size=n)
    return x, y.astype("<f4")


def load(folder, name, features):
    x = np.fromfile(f"{folder}/X_{name}.f32", "<f4").reshape(-1, features)
    return x, np.fromfile(f"{folder}/y_{name}.f32", "<f4")


def used():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def memory(line):
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) for l in f if l.startswith(line + ":")) / 1024


def worker(folder, name, rows, test, features):
    """Fits and measures one of the others; prints one line of JSON."""
    x, y = load(folder, rows, int(features))
    xt, yt = load(folder, test, int(features))
    if name == "hgb":
        from sklearn.ensemble import HistGradientBoostingRegressor as Model

        m = Model(max_iter=200, learning_rate=0.1, max_leaf_nodes=31, early_stopping=False, random_state=0)
    elif name == "rf":
        from sklearn.ensemble import RandomForestRegressor as Model

        m = Model(100, n_jobs=1, random_state=0, max_features=1 / 3, min_samples_leaf=5)
    else:
        import xgboost

        shape = dict(max_depth=6) if name == "xgb" else dict(max_depth=0, max_leaves=31, grow_policy="lossguide")
        p = dict(tree_method="hist", eta=0.1, nthread=1, max_bin=256, seed=0, objective="reg:squarederror", **shape)
    held, cpu = memory("VmRSS"), used()
    if name.startswith("xgb"):
        b = xgboost.train(p, xgboost.DMatrix(x, y, nthread=1), 200)
        predict = b.inplace_predict
    else:
        m.fit(x, y)
        predict = m.predict
    out = {"cpu_s": used() - cpu, "peak_mb": memory("VmHWM") - held}
    out["rmse"] = float(np.sqrt(np.mean((predict(xt) - yt) ** 2)))
    if os.path.exists(f"{folder}/w_{test}.f32"):
        out["mase"] = float(np.sum(np.fromfile(f"{folder}/w_{test}.f32", "<f4").astype("f8") * np.abs(predict(xt) - yt)))
    for key, n in (("one_us", 1), ("batch_us", 48)):
        done, cpu = 0, used()
        while used() - cpu < 0.5:
            at = done % (len(xt) - n)
            predict(xt[at : at + n])
            done += n
        out[key] = (used() - cpu) / done * 1e6
    print(json.dumps(out))


def measure(binary, folder, engines, rows, runs, test="test", features=FEATURES):
    """Runs all engines in turn and returns the medians by name."""
    found = {name: [] for name in engines}
    for _ in range(runs):
        for name, (_, flags) in engines.items():
            if flags is None:
                cmd = [sys.executable, os.path.abspath(__file__), "--worker", folder, name, rows, test, str(features)]
            else:
                cmd = [binary, "-dir", folder, "-train", rows, "-test", test, "-features", str(features), *flags]
            r = subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(r.stdout))
            print(rows, name, r.stdout.strip(), flush=True)
    return {n: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for n, rs in found.items()}


def lines_of(title, engines, found):
    lines = [f"| {title} | fit, CPU s | test RMSE | peak memory, MB | one row, µs | batches of 48, µs a row |", "|---|---|---|---|---|---|"]
    for name, (label, _) in engines.items():
        r = found[name]
        lines.append(f"| {label} | {r['cpu_s']:.2f} | {r['rmse']:.4f} | +{r['peak_mb']:.0f} | {r['one_us']:,.1f} | {r['batch_us']:.1f} |")
    return "\n".join(lines)


def folds(binary, folder, recording):
    """Lets the hub write the rows and folds of a backtest, fits all engines on them and returns a table."""
    if not recording and os.path.exists(RECORDING):
        recording = RECORDING
    r = subprocess.run([binary, "-folds", "-dir", folder, "-recording", recording], stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(r.stdout)
    print(r.stdout.strip(), flush=True)
    sums = {name: {"cpu_s": 0, "mase": 0} for name in BOOSTED}
    for t in told["tables"]:
        for name, r in measure(binary, folder, BOOSTED, t["learn"], 1, t["judge"], told["features"]).items():
            for key in sums[name]:
                sums[name][key] += r[key]
    rows = [(label, sums[name]) for name, (label, _) in BOOSTED.items()] + [(label, told["hub"][name]) for name, label in HUB.items()]
    kind = "real meters" if recording == RECORDING else "meters of a recording" if recording else "synthetic meters"
    n = " and ".join(f"{t['rows']:,}" for t in told["tables"])
    head = f"{told['meters']} {kind}, day ahead over 8 weeks: {n} rows × {told['features']} features"
    return "\n".join([f"| {head} | fit, CPU s | MASE |", "|---|---|---|"] + [f"| {label} | {r['cpu_s']:.2f} | {r['mase']:.4f} |" for label, r in rows])


def write(docs, text, begin=BEGIN, end=END):
    with open(docs) as f:
        old = f.read()
    if begin not in old or end not in old:
        sys.exit(f"{docs}: want the marks {begin} and {end} around the table")
    with open(docs, "w") as f:
        f.write(f"{old.split(begin)[0]}{begin}\n{text}\n{end}{old.split(end)[1]}")


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    args = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    args.add_argument("binary", help="hub/bench/engine, built")
    args.add_argument("docs", help="the file with the marks between which the table goes")
    args.add_argument("--runs", type=int, default=3, help="runs of each engine on 100,000 rows")
    args.add_argument("--quick", action="store_true", help="leave out the million rows")
    args.add_argument("--folds-only", action="store_true", help="measure on the folds of a backtest alone")
    args.add_argument("--recording", default="", help="readings of the backtest: meter_id, timestamp, kwh")
    a = args.parse_args()
    binary = os.path.abspath(a.binary)
    import sklearn
    import xgboost

    with tempfile.TemporaryDirectory() as folder:
        found = folds(binary, folder, a.recording)
    note = f"Measured {time.strftime('%Y-%m-%d')} with scikit-learn {sklearn.__version__} and XGBoost {xgboost.__version__}, one run; load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    print("\n" + found)
    write(a.docs, f"{note}\n\n{found}", FOLDS_BEGIN, FOLDS_END)
    if a.folds_only:
        return
    sizes = [("100k", 100_000, 42, a.runs)] + ([] if a.quick else [("1M", 1_000_000, 43, 1)])
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name, n, seed, _ in [*sizes, ("20k", 20_000, 45, 1), ("test", 100_000, 44, 1)]:
            for part, values in zip("Xy", table(n, seed)):
                values.tofile(f"{folder}/{part}_{name}.f32")
        for name, _, _, runs in sizes:
            tables.append(lines_of(f"{name} × {FEATURES}, 200 trees", BOOSTED, measure(binary, folder, BOOSTED, name, runs)))
        tables.append(lines_of(f"20k × {FEATURES}", FORESTS, measure(binary, folder, FORESTS, "20k", 1)))
    note = (
        f"Measured {time.strftime('%Y-%m-%d')} with scikit-learn {sklearn.__version__} and XGBoost {xgboost.__version__} on Python\n"
        f"{platform.python_version()}; for 100k rows medians of {a.runs} runs; load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    )
    text = "\n\n".join([note, *tables])
    print("\n" + text)
    write(a.docs, text)


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Measures the tree engines beside scikit-learn and XGBoost, which it installs from Debian's packages when they are missing,
# and writes the table into docs/benchmarks.md. Takes about ten minutes on a quiet machine; ENGINE_FLAGS=--quick one.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! /usr/bin/python3 -c 'import numpy, sklearn, xgboost, pandas' 2>/dev/null; then
  command -v apt-get >/dev/null || { echo "bench-engine: please install scikit-learn, XGBoost and pandas for /usr/bin/python3" >&2; exit 1; }
  sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  packages=(python3-sklearn python3-xgboost python3-pandas)
  echo "bench-engine: installing ${packages[*]}"
  install() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"; }
  install >/dev/null || { "${sudo[@]}" apt-get update -q && install; } >/dev/null
fi
mkdir -p bin
CGO_ENABLED=0 go build -trimpath -o bin/engine ./hub/bench/engine
# shellcheck disable=SC2086 # flags are words
/usr/bin/python3 hub/bench/engine.py bin/engine docs/benchmarks.md ${ENGINE_FLAGS:-}

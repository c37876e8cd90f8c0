#!/usr/bin/env bash
# Measures every figure of docs/benchmarks.md, in its order. Machines are shared and noisy: trust the ratios within one run
# and the CPU times. Takes about six minutes; a part can be named: deploy/bench.sh agent
set -euo pipefail
cd "$(dirname "$0")/.."

part=${1:-all}
section() {
  if [ "$part" != all ] && [ "$part" != "$1" ]; then return 1; fi
  printf '\n── %s\n' "$2"
}
bench() { # folder, benchmark, how long, package
  (cd "$1" && go test -run '^$' -bench "$2" -benchtime "$3" "$4") | sed -nE '/^(Benchmark|[[:space:]])/p'
}

if section intake 'durable intake: MQTT → bbolt → ack, and appends beside a plain file with fsync'; then
  bench agent BenchmarkIntake 1x ./internal/ingest
  bench agent BenchmarkAppend 1s ./internal/store
fi
if section uplink 'uplink: bytes on the wire and CPU for each reading, TLS included'; then
  bench agent BenchmarkUplink 2000000x ./internal/uplink
fi
if section hub 'hub: commits beside COPY in the same run, derivation, bytes stored'; then
  bench hub 'BenchmarkCommit|BenchmarkDerive|BenchmarkStored' 1x ./internal/derive
fi
if section forecast 'features, prediction, forecasts of 20 points × 48 steps, training'; then
  bench shared BenchmarkRowsOf48Steps 1s ./feature
  bench shared 'BenchmarkPredict(1Row|48Rows)' 1s ./model
  bench agent BenchmarkForecast20Points 1s ./internal/predict
  bench hub BenchmarkFit20kRows 1x ./internal/train/gbdt
fi
if section codec 'codecs: payloads of 100 readings, the interval fold'; then
  bench shared 'BenchmarkDecode100|BenchmarkEncode100' 1s ./topic
  bench shared BenchmarkAdd 1s ./interval
fi
if section rest 'REST: requests a second and p99 at 32 and 256 connections, beside a handler that does nothing; needs wrk'; then
  bench hub BenchmarkREST 1x ./internal/api
fi
if section agent 'the agent as a process'; then
  bin/fluxora-bench
fi
if section demo 'from the start of the demo to the first model forecast, programs built'; then
  bin/fluxora-demo --check
fi

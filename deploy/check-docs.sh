#!/usr/bin/env bash
# Fails when a document names a path of this repository, in backquotes, or a make target that does not exist.
set -euo pipefail
cd "$(dirname "$0")/.."

bad=0
# shellcheck disable=SC2016 # the backquotes are Markdown's
paths=$(grep -oE '`(agent|hub|shared|proto|firmware-bridge|deploy|docs|ansible|\.ci)/[A-Za-z0-9_./*{}<>-]*`' -H README.md CONTRIBUTING.md docs/*.md docs/adr/*.md 2>/dev/null || true)
while IFS=: read -r file path; do
  [ -n "$file" ] || continue
  path=${path//\`/}
  path=${path%/}
  case "$path" in *'*'* | *'{'* | *'<'* | *NNNN*) continue ;; esac
  if ! [ -e "$path" ]; then
    echo "$file names $path, which does not exist"
    bad=1
  fi
done <<<"$paths"

# shellcheck disable=SC2016
targets=$(grep -oE '`make [a-z-]+' -H README.md CONTRIBUTING.md docs/*.md docs/adr/*.md 2>/dev/null || true)
while IFS=: read -r file target; do
  [ -n "$file" ] || continue
  target=${target#'`make '}
  if ! grep -qE "^${target%%[\` ]*}:" Makefile; then
    echo "$file names 'make ${target%%[\` ]*}', which the Makefile does not have"
    bad=1
  fi
done <<<"$targets"

exit $bad

#!/usr/bin/env bash
# Installs what the demo and the tests need beside Go, when it is missing: on Debian and its kin with apt-get, as root or
# through sudo. Elsewhere it names what is missing. With nothing missing it does nothing and needs nobody's rights.
set -euo pipefail

# What must be there → the Debian package that brings it.
declare -A package=(
  [postgres]=postgresql [mosquitto]=mosquitto [mosquitto_sub]=mosquitto-clients
  [qemu-aarch64-static]=qemu-user-static [gcc]=gcc [curl]=curl
)

have() {
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing=()
for tool in "${!package[@]}"; do have "$tool" || missing+=("${package[$tool]}"); done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: please install what serves as Debian's ${missing[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: please run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"
log=$(mktemp)
install() {
  # The packages' own services are not wanted: Fluxora starts private ones.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "${missing[@]}"
}
if ! { install || { "${sudo[@]}" apt-get update -q && install; }; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get could not install ${missing[*]}" >&2
  exit 1
fi
rm -f "$log"

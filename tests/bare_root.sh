#!/usr/bin/env bash
# The two commands where nothing is but git, make and Python: a bare Debian in a directory, as root.
#
#   tests/bare_root.sh DIRECTORY [COMMAND]...
#
# DIRECTORY must not be there; it takes some gigabytes and stays. A COMMAND is a line for the shell
# in the clone; without any: make report, a small make lab, which installs what vLLM takes from the
# system, the fast tests, and what the rest of the tests need. Where packages come from is this
# machine's business: its settings for pip, apt and certificates are taken along, and so is what is
# committed here. Needs debootstrap.
set -euo pipefail
root=$1
shift
project=$(cd "$(dirname "$0")/.." && pwd)
if [ -e "$root/lab" ]; then
  echo "bare_root.sh: $root was used before; name another directory" >&2
  exit 1
fi
[ $# -gt 0 ] || set -- 'make report' \
  'make lab ARGS="--configfile tests/bare_root.yaml"' \
  'make test ARGS="tests/unit/config -n0"' 'python3 tests/needs.py'

if [ ! -e "$root/usr/bin/git" ]; then
  debootstrap --variant=minbase --include=git,make,python3,python3-venv,ca-certificates \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >/dev/null
fi
for settings in /etc/pip.conf /etc/resolv.conf /etc/apt/apt.conf.d /etc/apt/sources.list.d \
  /etc/ssl/certs /usr/local/share/ca-certificates "${PIP_CERT:-}" "$HOME/.config/pip" "$HOME/.npmrc"
do
  if [ -e "$settings" ]; then
    mkdir -p "$root$(dirname "$settings")"
    cp -aL --remove-destination "$settings" "$root$(dirname "$settings")/"
  fi
done
# What pip is given as directories, read-only.
directories=$(env | grep -E '^PIP_(FIND_LINKS|INDEX)' | sed 's/^[^=]*=//' | grep -E '^/' || true)
mounted=()
finish() {
  for place in "${mounted[@]}"; do umount -R "$place"; done
}
trap finish EXIT
# /sys: vLLM asks lscpu for the cores.
for place in /proc /sys /dev $directories; do
  [ -d "$place" ] || continue
  mkdir -p "$root$place"
  mount --rbind --make-rslave "$place" "$root$place" && mounted=("$root$place" "${mounted[@]}")
done
git clone --quiet "$project" "$root/lab"
mapfile -t settings < <(env | grep -iE '^(PIP_|UV_|SSL_|REQUESTS_CA|CURL_CA|NODE_EXTRA|npm_config|https?_proxy|no_proxy)')
for command in "$@"; do
  echo "== $command"
  begun=$SECONDS
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" \
    bash -c "cd /lab && $command"
  echo "== $((SECONDS - begun)) s"
done

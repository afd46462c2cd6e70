#!/usr/bin/env bash
# Get what the tests need besides Python: Debian's RabbitMQ (PostgreSQL comes as a wheel, by tools/setup.sh).
# Installed where that is allowed (root, apt-get); no service is started, the tests start their own. Quick when it is there.
set -euo pipefail

missing() {
  local program found=0
  for program in /usr/lib/rabbitmq/bin/rabbitmq-server epmd erl_call setpriv; do
    PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$program" >/dev/null 2>&1 || { echo "$program"; found=1; }
  done
  return $((1 - found))
}

lacking=$(missing | tr '\n' ' ') || true
[ -n "$lacking" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "services: RabbitMQ is not here (${lacking% }); its tests are skipped, and under CI they fail." >&2
  echo "services: as root on Debian: apt-get install --no-install-recommends rabbitmq-server" >&2
  exit 0
fi

echo "services: installing Debian's rabbitmq-server (once)"
# Two commands started at once wait for each other.
exec 9>"/tmp/snodo-services-$(id -u).lock"
flock 9 2>/dev/null || true
[ -n "$(missing)" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"  # Debian's way to say: install, but start nothing
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >/dev/null; }
install() { apt install -y --no-install-recommends rabbitmq-server util-linux; }
install 2>/dev/null || { apt update && install; } || echo "services: apt-get could not install rabbitmq-server" >&2
lacking=$(missing | tr '\n' ' ') || true
[ -z "$lacking" ] || echo "services: still missing: $lacking" >&2

#!/bin/sh
# Deletes unused layers of the registry in this compose project. Pulls go on, pushes wait.
#
#   docker/garbage-collect.sh [--delete-untagged] [--dry-run]
#
# FREEZE_WAIT: how long running pushes may take to finish. FREEZE_FOR: pushes go on after this time in any case.
set -eu
cd "$(dirname "$0")"

if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  compose() { docker-compose "$@"; }
fi
sidecar() { compose exec -T sidecar registry-sidecar "$@" </dev/null; }

# Threat: another run would thaw while this one deletes layers.
lock=$PWD/.garbage-collect.lock
mkdir "$lock" 2>/dev/null || {
  echo "another garbage collection runs; if none does, remove $lock" >&2
  exit 1
}

# The script also thaws after a failure or Ctrl-C. It does not thaw if its freeze was refused: another freeze is in force.
frozen=no
finish() {
  [ "$frozen" = no ] || sidecar thaw
  rmdir "$lock"
}
trap finish EXIT
trap 'frozen=yes; exit 1' HUP INT TERM

result=$(sidecar freeze --for "${FREEZE_FOR:-2h}" --wait "${FREEZE_WAIT:-10m}" --json)
frozen=yes
case $result in
  *'"pushes":0'*) ;;
  *)
    echo 'pushes still run, so nothing is deleted; try again later, or raise FREEZE_WAIT' >&2
    exit 1
    ;;
esac

compose exec -T registry registry garbage-collect "$@" /etc/docker/registry/config.yml </dev/null
# The registry remembers layers that are now deleted, so a push could skip them.
compose restart registry

tries=60
until sidecar healthcheck >/dev/null; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo 'the registry does not answer after its restart' >&2
    exit 1
  fi
  sleep 1
done

#!/usr/bin/env bash
# PostgreSQL and Redis for `make test-server`, from Debian's packages. Where they cannot be installed, the tests that
# need them are skipped and say so. The packages' own services are not used: tests start servers of their own.
set -uo pipefail
missing=()
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
if ((${#missing[@]})); then
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
      { apt-get update --quiet >/dev/null 2>&1 &&
        apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >/dev/null 2>&1; } ||
      echo "could not install ${missing[*]}: tests that need them are skipped" >&2
  else
    echo "not installed: ${missing[*]} (apt-get install, as root): tests that need them are skipped" >&2
  fi
fi
exit 0

#!/usr/bin/env bash
# Writes infra/requirements.lock (what runs) and infra/requirements-dev.lock (what also tests), with hashes of every platform's files.
# pip-compile drops what its own Python does not need, so the pocketsphinx of Python 3.12 is added from a second look-up.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
compile() {
  "$python" -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-header --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --no-emit-options --resolver=backtracking "$@"
}
compile --build-deps-for editable --output-file infra/requirements.lock pyproject.toml
compile --build-deps-for editable --output-file infra/requirements-dev.lock --constraint infra/requirements.lock --extra dev pyproject.toml
held=$(mktemp -d)
trap 'rm -rf "$held"' EXIT
echo 'pocketsphinx==5.0.4' > "$held/held.in"
compile --no-deps --no-annotate --output-file "$held/held.lock" "$held/held.in" 2>/dev/null ||
  compile --no-annotate --output-file "$held/held.lock" "$held/held.in"
for lock in infra/requirements.lock infra/requirements-dev.lock; do
  "$python" - "$lock" "$held/held.lock" <<'PY'
import re, sys
lock, held = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
block = re.search(r"^pocketsphinx==5\.0\.4.*?(?=^\S|\Z)", held, re.M | re.S).group().rstrip()
lock = re.sub(r"^(pocketsphinx==5\.1\.1[^\\]*?) ?\\", r'pocketsphinx==5.1.1 ; python_version < "3.12" \\', lock, flags=re.M)
block = re.sub(r"^pocketsphinx==5\.0\.4 ?\\", r'pocketsphinx==5.0.4 ; python_version >= "3.12" \\', block, flags=re.M)
open(sys.argv[1], "w", encoding="utf-8").write(lock.rstrip() + "\n" + block + "\n")
PY
done

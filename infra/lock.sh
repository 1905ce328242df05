#!/usr/bin/env bash
# Writes infra/requirements.lock (what runs), infra/requirements-dev.lock (what also tests) and infra/requirements-gpu.lock (a GPU
# worker, without torch), with hashes of every platform's files.
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

# torch stands in as a wheel without files: pip asks it for its needs, and those of its own would fetch gigabytes of CUDA.
# What it needs besides is its metadata's Requires-Dist; `pip check` says after an installation whether that still holds.
torch=2.13.0+needs
"$python" - "$held" "$torch" <<'PY'
import sys, zipfile
folder, version = sys.argv[1:]
needs = ("filelock", "typing-extensions>=4.10.0", "setuptools>=77.0.3", "sympy>=1.13.3", "networkx>=2.5.1", "jinja2", "fsspec>=0.8.5")
files = {
    "METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n" + "".join(f"Requires-Dist: {need}\n" for need in needs),
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}
with zipfile.ZipFile(f"{folder}/torch-{version}-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(f"torch-{version}.dist-info/{name}", text)
PY
echo "torch==$torch" > "$held/torch.in"
compile --find-links "$held" --output-file infra/requirements-gpu.lock infra/requirements-gpu.in "$held/torch.in"
"$python" - infra/requirements-gpu.lock <<'PY'
import re, sys
lock = open(sys.argv[1], encoding="utf-8").read()
open(sys.argv[1], "w", encoding="utf-8").write(re.sub(r"^torch==.*?(?=^\S)", "", lock, flags=re.M | re.S))
PY

#!/usr/bin/env bash
# Build the wheel, install medzoo[recipes] from it into an empty environment, and use it away from the source tree.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
python="$repository/.venv/bin/python"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
"$python" -m build --wheel --no-isolation --outdir "$place/dist" "$repository" >"$place/build.log" 2>&1 || { cat "$place/build.log"; exit 1; }
"$python" -m venv "$place/env"
"$python" -m uv pip install --quiet --python "$place/env/bin/python" "$(ls "$place"/dist/*.whl)[recipes]"
cd "$place"
export MEDZOO_HOME="$place/home"
env/bin/medzoo list
env/bin/python -m medzoo.recipes.finetune --help | head -n 5
env/bin/python -c "import medzoo, pathlib; assert 'env' in pathlib.Path(medzoo.__file__).parts, medzoo.__file__; print(medzoo.info('resnet50-radimagenet'))"
echo "wheel: ok"

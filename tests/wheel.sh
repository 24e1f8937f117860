#!/usr/bin/env bash
# Build the sdist and the wheel and check them for PyPI, install medzoo[recipes] from the wheel into an empty environment, and use
# it away from the source tree.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
python="$repository/.venv/bin/python"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
# the first command builds the wheel from the unpacked sdist, the second one from the source tree: both hold the same files
build() { "$python" -m build --no-isolation "$@" "$repository" >"$place/build.log" 2>&1 || { cat "$place/build.log"; exit 1; }; }
build --outdir "$place/dist"
build --wheel --outdir "$place/tree"
names() { "$python" -m zipfile --list "$1" | awk '{print $1}' | sort; }
diff <(names "$place"/dist/*.whl) <(names "$place"/tree/*.whl)
"$python" -m twine --no-color check --strict "$place"/dist/*
"$python" -m venv "$place/env"
"$python" -m uv pip install --quiet --python "$place/env/bin/python" "$(ls "$place"/dist/*.whl)[recipes]"
cd "$place"
export MEDZOO_HOME="$place/home"
env/bin/medzoo list
env/bin/python -m medzoo.recipes.finetune --help | head -n 5
env/bin/python -c "import medzoo, pathlib; assert 'env' in pathlib.Path(medzoo.__file__).parts, medzoo.__file__; print(medzoo.info('resnet50-radimagenet'))"
echo "wheel: ok"

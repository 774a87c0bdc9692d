#!/usr/bin/env bash
# Run the tests that need nothing but NumPy on the interpreter named as the first argument, in an environment of
# its own, .venv-X.Y, which is kept for the next run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=.venv-$version
stamp=$venv/.installed

up_to_date() {
    [[ -e $stamp && -z $(find pyproject.toml constraints.txt CMakeLists.txt native -newer "$stamp" -print -quit) ]]
}

if ! up_to_date; then
    echo "setting up $venv"
    [[ -x $venv/bin/python ]] || "$1" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
        --editable ".[test]"
    touch "$stamp"
fi

echo "unit tests on Python $version"
"$venv/bin/python" -m pytest tests/unit

#!/usr/bin/env bash
# Print one interpreter a line for each supported Python version that this machine has, leaving out the version of
# the interpreter named as the first argument (its tests have run already).
set -euo pipefail

done_version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

for version in 3.10 3.11 3.12 3.13; do
    [[ $version == "$done_version" ]] && continue
    # pyenv's versions may be installed without being on the path: its shim then answers with an error.
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        if "$candidate" -c 'import ensurepip, ssl, venv' 2>/dev/null; then
            echo "$candidate"
            break
        fi
    done
done

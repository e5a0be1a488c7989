# Sourced by the other scripts: install_taskaware [EXTRA] makes .venv and installs taskaware there as constraints.txt says.
#
# A second call is quick: a stamp in .venv remembers what was installed from which pyproject.toml and constraints.txt.
# PYTHON names the interpreter for a new .venv (3.11 or newer, because constraints.txt was resolved there). On a Linux
# machine without a GPU, PyTorch's own index of CPU builds in PIP_EXTRA_INDEX_URL saves some gigabytes of CUDA libraries.

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

heading() { printf '\n== %s\n' "$*"; }

install_taskaware() {
    local extra=${1:-runtime} target=$root stamp
    [ "$extra" = runtime ] || target="${root}[$extra]"
    stamp="$root $(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)"
    [ "$(cat "$venv/.installed-$extra" 2>/dev/null)" != "$stamp" ] || return 0
    heading "Installing taskaware ($extra) into $venv; the first time takes minutes"
    if [ ! -x "$venv/bin/python" ]; then
        "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is "
            + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")' || return 1
        "${PYTHON:-python3}" -m venv "$venv" || return 1
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$root/constraints.txt" --editable "$target" || return 1
    printf '%s\n' "$stamp" >"$venv/.installed-runtime"
    printf '%s\n' "$stamp" >"$venv/.installed-$extra"
}

#!/usr/bin/env bash
# Every check that a change must pass, cheapest first. PYTEST_ARGS goes to pytest: PYTEST_ARGS="-k memory -n 0" scripts/test.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$root"

check() {
    local name=$1
    shift
    heading "$name"
    "$@" || {
        printf '\nFAILED: %s\n' "$name" >&2
        exit 1
    }
}

check "install" install_taskaware dev
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false # pytest's workers share the cores
export HF_HUB_OFFLINE=1

check "ruff check" "$venv/bin/ruff" check .
check "ruff format" "$venv/bin/ruff" format --check .
check "mypy" "$venv/bin/mypy"
check "import layers" "$venv/bin/lint-imports"
# shellcheck disable=SC2086 # PYTEST_ARGS holds several words
check "pytest" "$venv/bin/python" -m pytest -n auto --maxprocesses 4 ${PYTEST_ARGS:-}
heading "All checks passed"

# Sourced by the commands for a newcomer: finds a Python, makes .venv, installs what is missing.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
      2> /dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "vae_jax needs Python 3.11, 3.12 or 3.13; none is on the PATH (or set PYTHON)" >&2
  return 1
}

# stamp: prints what is to be installed, as one number.
stamp() {
  cat setup.py requirements.lock | cksum
}

# install: makes .venv and installs the project with what its tests need; returns at once if it has.
install() {
  local python
  if ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
    python=$(find_python)
    echo "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
  fi
  if [[ "$(cat .venv/installed 2> /dev/null)" != "$(stamp)" ]]; then
    echo "installing vae_jax into .venv (once; a minute or two)"
    # Every file that comes from outside is checked against the sha256 that stands in the lock.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --require-hashes --requirement requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
    stamp > .venv/installed
  fi
}

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

# installed EXTRAS: tells whether the project as it is now is installed with these extras.
installed() {
  [[ "$(cat ".venv/installed$1" 2> /dev/null)" == "$(cat setup.py constraints.txt | cksum)" ]]
}

# install EXTRAS: installs the project with these extras.
install() {
  local extras=$1 python
  if ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
    python=$(find_python)
    echo "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
  fi
  if ! installed "$extras"; then
    echo "installing vae_jax$extras into .venv (once; a minute or two)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt --editable ".$extras"
    cat setup.py constraints.txt | cksum > ".venv/installed$extras"
  fi
}

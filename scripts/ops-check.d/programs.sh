# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Finds the programs that a part of the demo is made for: on this machine, or in the image that docker-compose.yml names,
# which is the very version that the demo runs. To be sourced, after tools.sh.

# find_program NAME IMAGE [OPTION…]: sets PROGRAM to how it is started: as a command, or in its image with the checkout
# at the same path, further folders as the OPTIONs say, and this machine's network. NAME must be on the PATH in both.
find_program() {
  local name=$1 image=$2
  shift 2
  if command -v "$name" >/dev/null; then
    PROGRAM=("$name")
    return
  fi
  image=$(sed -n "s|^ *image: \($image:.*\)|\1|p" docker-compose.yml | head -n 1)
  docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 || return 1
  PROGRAM=(docker run --rm --interactive --network host --user "$(id -u):$(id -g)" --volume "$PWD:$PWD:ro"
    --workdir "$PWD" "$@" --entrypoint "$name" "$image")
}

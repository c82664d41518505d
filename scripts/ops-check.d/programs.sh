# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Finds the programs that a part of the demo is made for: in the image that docker-compose.yml names, which is the very
# version that the demo runs, or, without Docker, on this machine, of whatever version. To be sourced, after tools.sh.

# find_program NAME IMAGE [OPTION…]: sets PROGRAM to how it is started: as a command, or in its image with the checkout
# at the same path, further folders as the OPTIONs say, and this machine's network. NAME is what the image has.
find_program() {
  local name=$1 image=$2 here
  shift 2
  image=$(find_demo_image "$image") || exit
  if pull_image "$image"; then
    PROGRAM=(docker run --rm --interactive --network host --user "$EUID:${GROUPS[0]}" --volume "$PWD:$PWD:ro"
      --workdir "$PWD" "$@" --entrypoint "$name" "$image")
    return
  fi
  # Debian calls it prometheus-alertmanager.
  for here in "$name" "prometheus-${name//_/-}"; do
    if command -v "$here" >/dev/null; then
      printf 'With %s of this machine, since there is no image %s; the demo may run another version\n' "$here" "$image" >&2
      PROGRAM=("$here")
      return
    fi
  done
  return 1
}

# find_demo_image NAME: prints the image of that name with its tag. A name that docker-compose.yml does not have is a
# fault of the check, which must not pass for a program that is missing.
find_demo_image() {
  local images
  images=$(sed -n "s|^ *image: \($1:.*\)|\1|p" docker-compose.yml) || return
  if [ -z "$images" ]; then
    printf 'docker-compose.yml has no image %s\n' "$1" >&2
    return 1
  fi
  printf '%s\n' "${images%%$'\n'*}"
}

# It is here, or can be had.
pull_image() { docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null 2>&1; }

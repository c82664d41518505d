# shellcheck shell=bash
# The folders below .data: `run` (kept, for `make run`) and one `test-PID` for each
# running script that brings its own. To be sourced, after process.sh, in the checkout's top folder.

readonly OUTSIDE=/var/tmp/orderly-data

# open_data NAME: sets DATA to the real path of .data/NAME. Where $UNPRIVILEGED_USER
# cannot reach the checkout (root's home, say), that is a link to a folder outside.
open_data() {
  local folder=$PWD/.data/$1 outside
  mkdir -p .data
  if [ ! -d "$folder" ]; then
    rm -f "$folder" # a link to a folder that was swept away
    mkdir "$folder"
    let_through "$folder"
    if ! unprivileged test -x "$folder"; then
      outside=$(mktemp -d "$OUTSIDE.XXXXXX")
      let_through "$outside"
      rmdir "$folder"
      ln -s "$outside" "$folder"
    fi
  fi
  DATA=$(real_path "$folder")
  if ! [ -w "$DATA" ] || ! unprivileged test -x "$DATA"; then
    die "$folder is not ours to use: was it made by another user, or moved? 'make clean-data' (as that user) removes it"
  fi
}

# The folder stays ours, so that the unprivileged account cannot plant what we then
# read or write as root; it only passes through, to what it is given inside.
let_through() {
  chmod 700 "$1"
  if [ "$(id -u)" = 0 ]; then
    chgrp "$(id -g "$UNPRIVILEGED_USER")" "$1"
    chmod 710 "$1"
  fi
}

# give PATH: to the unprivileged account, alone.
give() {
  chmod go= "$1"
  [ "$(id -u)" != 0 ] || chown "$UNPRIVILEGED_USER" "$1"
}

real_path() { (cd -P "$1" 2>/dev/null && pwd -P) || true; }

# remove_data NAME: the folder, and where it links to if we made that.
remove_data() {
  local folder=$PWD/.data/$1
  if [ -L "$folder" ]; then
    case $(readlink "$folder") in
      "$OUTSIDE".*) rm -rf "$(readlink "$folder")" ;;
    esac
  fi
  rm -rf "$folder"
}

# Puts away what test runs left that were killed with -9: their owner's pid is in
# the name.
sweep_tests() {
  local folder name
  for folder in .data/test-*; do
    [ -e "$folder" ] || [ -L "$folder" ] || continue
    name=${folder#.data/}
    case $(command_of "${name#test-}") in
      *with-services* | *drill-services* | *load.sh* | *bench.sh*) continue ;;
    esac
    DATA=$(real_path "$folder")
    [ -z "$DATA" ] || kill_services
    remove_data "$name"
  done
}

# shellcheck shell=bash
# The folders below .data: `run` (kept, for `make run`) and one `test-PID` for each
# running script that brings its own. To be sourced, after process.sh, in the checkout's top folder.

readonly EXTERNAL_DATA_DIR=/var/tmp/orderly-data

# create_data_dir NAME: sets DATA to the real path of .data/NAME. Where $UNPRIVILEGED_USER
# cannot reach the checkout (root's home, say), that is a link to a folder outside.
create_data_dir() {
  local folder=$PWD/.data/$1 outside
  mkdir -p .data
  if [ ! -d "$folder" ]; then
    rm -f "$folder" # a link to a folder that was swept away
    mkdir "$folder"
    allow_traversal "$folder"
    if ! run_unprivileged test -x "$folder"; then
      outside=$(mktemp -d "$EXTERNAL_DATA_DIR.XXXXXX")
      allow_traversal "$outside"
      rmdir "$folder"
      ln -s "$outside" "$folder"
    fi
  fi
  DATA=$(resolve_path "$folder")
  if ! [ -w "$DATA" ] || ! run_unprivileged test -x "$DATA"; then
    die "$folder is not ours to use: was it made by another user, or moved? 'make clean-data' (as that user) removes it"
  fi
}

# The folder stays ours, so that the unprivileged account cannot plant what we then
# read or write as root; it only passes through, to what it is given inside.
allow_traversal() {
  chmod 700 "$1"
  if [ "$(id -u)" = 0 ]; then
    chgrp "$(id -g "$UNPRIVILEGED_USER")" "$1"
    chmod 710 "$1"
  fi
}

# give_ownership PATH: to the unprivileged account, alone.
give_ownership() {
  chmod go= "$1"
  [ "$(id -u)" != 0 ] || chown "$UNPRIVILEGED_USER" "$1"
}

resolve_path() { (cd -P "$1" 2>/dev/null && pwd -P) || true; }

# remove_data_dir NAME: the folder, and where it links to if we made that.
remove_data_dir() {
  local folder=$PWD/.data/$1
  if [ -L "$folder" ]; then
    case $(readlink "$folder") in
      "$EXTERNAL_DATA_DIR".*) rm -rf "$(readlink "$folder")" ;;
    esac
  fi
  rm -rf "$folder"
}

# Puts away what test runs left that were killed with -9: their owner's pid is in
# the name.
remove_stale_test_data() {
  local folder name
  for folder in .data/test-*; do
    [ -e "$folder" ] || [ -L "$folder" ] || continue
    name=${folder#.data/}
    case $(read_command_line "${name#test-}") in
      *with-services* | *drill-services* | *load.sh* | *bench.sh*) continue ;;
    esac
    DATA=$(resolve_path "$folder")
    [ -z "$DATA" ] || kill_services
    remove_data_dir "$name"
  done
}

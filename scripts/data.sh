# shellcheck shell=bash
# The folders below .data: `run` (kept, for `make run`) and one `test-PID` for each
# running with-services.sh. To be sourced, after process.sh, in the checkout's top folder.

readonly OUTSIDE=/var/tmp/orderly-data

# open_data NAME: sets DATA to the real path of .data/NAME, which
# $UNPRIVILEGED_USER owns. Where that account cannot reach the checkout (root's
# home, say), .data/NAME is a link to a folder outside.
open_data() {
  local folder=$PWD/.data/$1 outside
  mkdir -p .data
  if [ ! -d "$folder" ]; then
    rm -f "$folder" # a link to a folder that was swept away
    mkdir "$folder"
    give "$folder"
    if ! unprivileged test -w "$folder"; then
      outside=$(mktemp -d "$OUTSIDE.XXXXXX")
      give "$outside"
      rmdir "$folder"
      ln -s "$outside" "$folder"
    fi
  fi
  DATA=$(real_path "$folder")
  unprivileged test -w "$DATA" ||
    die "$folder is not ours to write: was it made by another user, or moved? 'make clean-data' (as that user) removes it"
}

real_path() { (cd -P "$1" 2>/dev/null && pwd -P) || true; }

give() {
  chmod 700 "$1"
  [ "$(id -u)" != 0 ] || chown "$UNPRIVILEGED_USER" "$1"
}

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
      *with-services*) continue ;;
    esac
    DATA=$(real_path "$folder")
    [ -z "$DATA" ] || stop_services
    remove_data "$name"
  done
}

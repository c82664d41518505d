#!/usr/bin/env bash
# A development CA and certificates of it, for `make certs`: ca.crt, and NAME.crt with
# NAME.key for each part that speaks TLS. In .data/certs, or in the folder given. What is
# there and good for another week is kept. Trust ca.crt only where you would trust anybody
# who can read ca.key; production has a CA of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh

readonly WEEK=604800
readonly CA_DAYS=90 LEAF_DAYS=30
readonly LEAVES=(api edge postgres redis)

require_program openssl openssl openssl
folder=${1:-.data/certs}
mkdir -p "$folder"
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Another CA would make all that is there worthless, and so would one that ends.
make_ca() {
  openssl x509 -in "$folder/ca.crt" -noout -checkend $((LEAF_DAYS * 86400)) >/dev/null 2>&1 &&
    [ -f "$folder/ca.key" ] && return
  cat >"$work/ca.conf" <<END
[req]
distinguished_name = name
prompt = no
x509_extensions = ca
[name]
CN = Orderly development CA
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
  make_key ca
  openssl req -x509 -new -sha256 -config "$work/ca.conf" -days "$CA_DAYS" \
    -key "$work/ca.key" -out "$work/ca.crt"
  install_pair ca
}

# make_leaf NAME: for that name, and for this machine.
make_leaf() {
  local name=$1
  openssl x509 -in "$folder/$name.crt" -noout -checkend "$WEEK" >/dev/null 2>&1 &&
    [ -f "$folder/$name.key" ] &&
    openssl verify -CAfile "$folder/ca.crt" "$folder/$name.crt" >/dev/null 2>&1 && return
  cat >"$work/leaf.conf" <<END
[req]
distinguished_name = name
prompt = no
[name]
CN = $name
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$name, DNS:localhost, IP:127.0.0.1, IP:::1
END
  local serial
  serial=$(openssl rand -hex 16)
  [ -n "$serial" ] || die "openssl made no serial number"
  make_key "$name"
  openssl req -new -sha256 -config "$work/leaf.conf" -key "$work/$name.key" -out "$work/$name.csr"
  openssl x509 -req -sha256 -in "$work/$name.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
    -set_serial "0x$serial" -days "$LEAF_DAYS" \
    -extfile "$work/leaf.conf" -extensions leaf -out "$work/$name.crt" 2>/dev/null
  install_pair "$name"
}

make_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key"; }

# The key first: a certificate without its key would count as there.
install_pair() {
  if ! [ -s "$work/$1.key" ] || ! [ -s "$work/$1.crt" ]; then die "openssl made no key or no certificate for $1"; fi
  chmod 644 "$work/$1.crt"
  mv "$work/$1.key" "$folder/$1.key"
  mv "$work/$1.crt" "$folder/$1.crt"
  log_progress "Made $folder/$1.crt"
}

make_ca
for leaf in "${LEAVES[@]}"; do
  make_leaf "$leaf"
done

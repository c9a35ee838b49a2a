#!/bin/sh
# licences.sh prints the licences of Go and of every module whose code is in
# mcpo, on any system that it is released for. A module without one ends it.
set -eu
cd "$(dirname "$0")/.."
modules=$(for os in linux darwin windows; do
  GOOS=$os CGO_ENABLED=0 go list -deps \
    -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/mcpo
done | sort -u)

print() { # NAME FOLDER
  found=
  for file in "$2"/LICEN[CS]E* "$2"/COPYING* "$2"/NOTICE*; do
    [ -f "$file" ] || continue
    found=yes
    printf '%s\n%s (%s)\n\n' "----------------------------------------" "$1" "$(basename "$file")"
    cat "$file"
    echo
  done
  [ -n "$found" ] || { echo "$1 has no licence in $2" >&2; exit 1; }
}

print "Go, its run time and standard library" "$(go env GOROOT)"
# No pipe: what fails in here has to end the script.
while read -r name folder; do
  print "$name" "$folder"
done <<EOF
$modules
EOF

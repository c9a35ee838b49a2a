#!/bin/sh
# render.sh makes the manifests in this folder from the chart, for those who use
# no Helm. With --check it changes nothing, and tells whether they are up to date.
set -eu
cd "$(dirname "$0")"
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
helm template mcpo ../helm/mcpo --namespace mcpo --output-dir "$new" >/dev/null
mkdir "$new/out"
for file in "$new"/mcpo/templates/*.yaml; do
  # Nobody but Helm needs to know of Helm.
  sed -e '/helm.sh\/chart:/d' -e '/managed-by:/d' -e '/^# Source:/d' "$file" | sed -e '1{/^---$/d}' >"$new/out/$(basename "$file")"
done
if [ "${1:-}" = --check ]; then
  for file in *.yaml; do
    [ "$file" = namespace.yaml ] || [ -e "$new/out/$file" ] || { echo "$file is not in the chart"; exit 1; }
  done
  for file in "$new"/out/*.yaml; do diff -u "$(basename "$file")" "$file"; done
  exit
fi
cp "$new"/out/*.yaml .

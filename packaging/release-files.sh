#!/bin/sh
# release-files.sh FOLDER makes what goes into archives beside the executable:
# completion scripts, and the licences of all that is linked into it.
set -eu
cd "$(dirname "$0")/.."
out=$1
rm -rf "$out"
mkdir -p "$out/completions"
go build -trimpath -o "$out/mcpo" ./cmd/mcpo
"$out/mcpo" completion bash >"$out/completions/mcpo.bash"
"$out/mcpo" completion zsh >"$out/completions/_mcpo"
"$out/mcpo" completion fish >"$out/completions/mcpo.fish"
"$out/mcpo" completion powershell >"$out/completions/mcpo.ps1"
rm "$out/mcpo"
sh packaging/licences.sh >"$out/THIRD_PARTY_LICENSES"

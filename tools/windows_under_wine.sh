#!/usr/bin/env bash
# Runs the Windows program under wine: training, a stop, resuming to equal bytes, prediction, conversion, the server.
# Needs: rustup target add x86_64-pc-windows-gnu; apt-get install gcc-mingw-w64-x86-64 wine64 curl
# Not part of CI, which has no wine. Last run by hand: 2026-12-01, wine 8, everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."
wine=$(command -v wine64 || command -v wine || echo /usr/lib/wine/wine64)
profile=${1:-release}
cargo build --profile "$profile" -p alexnet-cli --target x86_64-pc-windows-gnu
# A space and letters outside ASCII in all paths.
run=$(mktemp -d)/"Größe 大"
mkdir -p "$run"
trap 'rm -rf "$(dirname "$run")"' EXIT
cp "target/x86_64-pc-windows-gnu/$profile/alexnet.exe" "$run/"
cd "$run"
# wine 8 has no bcryptprimitives.dll, whose only function Rust's standard library needs.
cat >prng.c <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
C
x86_64-w64-mingw32-gcc -shared -o bcryptprimitives.dll prng.c -ladvapi32
export WINEPREFIX="$run/prefix" WINEDEBUG=-all
alexnet() { "$wine" alexnet.exe "$@"; }

alexnet nets | head -3
alexnet selftest --net tutorial-text
train() { alexnet -q train --net torchvision --image-size 64 --epochs 1 "$@"; }
train --max-steps 6 --out whole
train --max-steps 3 --out halves
alexnet -q train --resume halves --max-steps 6
cmp whole/state.safetensors halves/state.safetensors
cmp whole/last.safetensors halves/last.safetensors
test -s whole/report.html
# A better model replaces one that is there.
train --max-steps 8 --out better --save-every 0.01
alexnet data preview --count 4 --out "eins zwei.png"
alexnet predict --model whole/last.safetensors --top 2 "eins zwei.png"
alexnet convert whole/last.safetensors model.onnx
alexnet predict --model model.onnx --top 2 "eins zwei.png"
alexnet serve --model whole/last.safetensors --port 8917 &
server=$!
for _ in $(seq 60); do curl -fsS http://127.0.0.1:8917/v2/health/ready >/dev/null 2>&1 && break || sleep 1; done
curl -fsS --data-binary @"eins zwei.png" -H "content-type: image/png" http://127.0.0.1:8917/predict
kill $server
echo "windows: all passed"

//! CI stages. The README's two commands are the stages `first-command` (with few steps) and `tests`;
//! `tests/docs.rs` keeps the Chinese README's commands equal to them.
//!
//! Most of the time goes into compiling, so stages share builds: all optional features are linted as one set and
//! tested as one set, and the README's commands use the default features. A stage with its own feature set compiles
//! the workspace and part of its dependencies again.

use super::Stage;

pub(super) const STAGES: &[Stage] = &[
    Stage { name: "format", quick: true, script: "cargo fmt --all --check" },
    Stage { name: "lints", quick: true, script: "cargo clippy --workspace --all-targets -- -D warnings" },
    Stage {
        name: "lints-products",
        quick: false,
        // Outside the workspace, so that its dependencies are only built on demand; CI only lints it.
        script: "cargo clippy --manifest-path benches/products/Cargo.toml --target-dir target/products -- -D warnings",
    },
    Stage { name: "docs", quick: true, script: r#"RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps"# },
    Stage {
        name: "first-command",
        quick: false,
        script: r#"
cargo run --release -- train --max-steps 4 --tensorboard --out "$run/first"
"$alexnet" eval --model "$run/first/last.safetensors" --json
test -s "$run/first/report.html"
"#,
    },
    Stage {
        name: "python-peers",
        quick: false,
        // Check our event files with TensorBoard's own reader (30 MB), and our exports with ONNX Runtime, on two nets
        // that together use every graph feature: groups, LRN columns, ceil rounding (60 MB).
        script: r#"
python3 -m venv "$run/venv"
"$run/venv/bin/pip" install --quiet tensorboard numpy pillow onnxruntime
"$run/venv/bin/tensorboard" --inspect --logdir "$run/first" | grep step/loss
"$run/venv/bin/python" tools/round_trips.py "$alexnet" graphs:original-145,caffenet
"#,
    },
    Stage {
        name: "python",
        quick: false,
        // The wheel, in an environment of its own. It is unoptimised, except for the kernels, because PyO3's macros need features
        // of syn that no other build has, so that whatever derives anything is compiled again. What compares with PyTorch runs
        // where the system has it, since it is a download of gigabytes; the list of skipped tests says so.
        script: r#"
python3 -m venv --system-site-packages "$run/python"
"$run/python/bin/pip" install --quiet maturin pytest mypy numpy pillow scikit-learn
PATH="$run/python/bin:$PATH" "$run/python/bin/maturin" build --quiet --out "$run/wheels"
"$run/python/bin/pip" install --quiet "$run"/wheels/alexnet-*.whl
"$run/python/bin/alexnet" --version
(cd "$run" && "$run/python/bin/python" -m pytest -q -rs -p no:cacheprovider "$OLDPWD/crates/alexnet-python/tests")
"#,
    },
    Stage {
        name: "packages",
        quick: false,
        // Dependencies of the stages below: a browser with a software Vulkan device, an MPI library and the build
        // requirements of its bindings.
        script: r#"
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium libvulkan1 >"$run/apt.log" || { tail "$run/apt.log"; exit 1; }
apt-get install -y -qq libopenmpi-dev openmpi-bin libclang-dev >"$run/apt.log" || { tail "$run/apt.log"; exit 1; }
"#,
    },
    Stage {
        name: "server",
        quick: false,
        // Test the page in Chromium, and the API with third-party clients. Only promtool is extracted from the
        // Prometheus package, because installing it would start a server.
        script: r#"
(cd "$run" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb prometheus)
"$run/venv/bin/pip" install --quiet 'tritonclient[http]' prometheus_client schemathesis
npm ci --silent --prefix crates/alexnet-serve/tests/browser
"$alexnet" data preview --count 4 --out "$run/image.png"
node crates/alexnet-serve/tests/browser/page.js "$alexnet" "$run/first/last.safetensors" "$run/image.png"
PATH="$run/prometheus/usr/bin:$PATH" "$run/venv/bin/python" crates/alexnet-serve/tests/clients.py \
    "$alexnet" "$run/first/last.safetensors" "$run/image.png" 5
"#,
    },
    Stage {
        name: "selftest",
        quick: false,
        // A unit test covers Winograd convolutions on the best instruction set.
        script: r#"
"$alexnet" selftest
for isa in portable avx2; do
    if [ "$isa" = portable ] || grep -qw "$isa" /proc/cpuinfo; then
        ALEXNET_ISA=$isa "$alexnet" selftest --net tutorial-text
        ALEXNET_ISA=$isa "$alexnet" selftest --net caffenet --convolutions winograd
    fi
done
"#,
    },
    Stage {
        name: "equal-bytes",
        quick: false,
        // With one and two threads, and with a stop in the middle.
        script: r#"
train() { "$alexnet" -q train --net torchvision --image-size 64 --epochs 1 "$@"; }
train --max-steps 6 --threads 1 --out "$run/one"
train --max-steps 6 --threads 2 --out "$run/two"
cmp "$run/one/state.safetensors" "$run/two/state.safetensors"
train --max-steps 3 --out "$run/halves"
"$alexnet" -q train --resume "$run/halves" --max-steps 6
cmp "$run/two/state.safetensors" "$run/halves/state.safetensors"
cmp "$run/two/last.safetensors" "$run/halves/last.safetensors"
"#,
    },
    Stage {
        name: "arm",
        quick: false,
        // The kernels' tests on AArch64, under emulation, by Debian's own Rust, whose standard library exists for other architectures.
        // Linked statically, since threads of programs with the shared C library hang under QEMU 7.2. Without debug assertions, which
        // check each pointer of a kernel. Left out: finite differences and the loss, which test formulas rather than instruction sets,
        // and the measured peak.
        script: r#"
dpkg --add-architecture arm64
apt-get update -qq
apt-get install -y -qq --no-install-recommends rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
    qemu-user-static >"$run/apt.log" || { tail "$run/apt.log"; exit 1; }
export RUSTC=/usr/bin/rustc CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu max"
/usr/bin/cargo test -p alexnet-kernels --lib --target aarch64-unknown-linux-gnu --target-dir target/arm -- \
    --skip differences --skip loss:: --skip roofline:: | tee "$run/arm.log"
awk '/^test result/ { count += $4 } END { print count " tests passed on AArch64" }' "$run/arm.log"
"#,
    },
    Stage {
        name: "feature-lints",
        quick: false,
        // Features as one set; NCCL apart, since it wants a version of CUDA that Burn leaves open; then those that users build alone. CUDA
        // and NCCL can be type-checked anywhere (DOCS_RS: without the compiler that their crates would download), but not run here.
        script: r#"
export DOCS_RS=1
lint() { cargo clippy --workspace --all-targets --features "$1" -- -D warnings; }
lint alexnet-cli/parquet,alexnet-cli/mpi,alexnet-cli/cuda,alexnet-cli/vulkan,alexnet-cli/webgpu,alexnet-python/extension
lint alexnet-cli/mpi,alexnet-cli/nccl
cargo check -p alexnet-cli --features parquet
cargo check -p alexnet-cli --features gpu
cargo clippy -p alexnet --no-default-features --features predict -- -D warnings
cargo clippy -p alexnet-cli --no-default-features -- -D warnings
"#,
    },
    Stage {
        name: "feature-tests",
        quick: false,
        // Parquet tables, jobs started by mpirun, and Burn on its own CPU backend and on Chromium's software Vulkan
        // device. One of these tests checks the one-line error for missing NCCL.
        script: r#"
test() { cargo test -p alexnet -p alexnet-burn -p alexnet-cli --features alexnet-cli/parquet,alexnet-cli/mpi,alexnet-cli/nccl,alexnet-cli/vulkan "$@"; }
export VK_DRIVER_FILES=$(dpkg -L chromium-common | grep vk_swiftshader_icd.json)
test --test burn --test mpi --test parquet
test --test commands devices
cargo test -p alexnet-image --features jpeg-rust --lib jpeg::tests
"#,
    },
    Stage {
        name: "crates",
        quick: false,
        // What a user of the library alone builds, without a C compiler; and the packages for crates.io, all but the upload. That they also
        // compile from their archives takes minutes: `cargo publish --workspace --dry-run`.
        script: r#"
"$alexnet" data preview --count 4 --out "$run/preview.png"
CC=false cargo run -p alexnet --no-default-features --features predict --example predict -- "$run/first/last.safetensors" "$run/preview.png"
cargo publish --workspace --dry-run --no-verify --allow-dirty
"#,
    },
    // The README's second command, last, since its closing lines report the number of tests.
    Stage { name: "tests", quick: true, script: "cargo test --workspace" },
];

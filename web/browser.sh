# What the scripts here that drive a browser have in common: finds Chromium and Node, builds `blindsight`, installs playwright-core. Sourced
# at the repository's root; leaves the shell in web/tests. `missing` is called with the reason where Node is not there, `browserless` where
# Chromium is not.
export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v google-chrome || true)}
command -v npm >/dev/null || missing "Node is missing"
[ -x "$CHROMIUM" ] || browserless "Chromium is missing (apt-get install chromium, or name it in CHROMIUM)"
cargo build --release --locked --quiet
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
export BLINDSIGHT=${BLINDSIGHT:-$target/release/blindsight}
export SCREENSHOTS=${SCREENSHOTS:-$PWD/target/page}
mkdir -p "$SCREENSHOTS"
cd web/tests
npm ci --no-audit --no-fund --silent

# What `run` and `keep` share. Where there is a nightly toolchain, the address sanitizer runs, too;
# elsewhere the targets run on the checks of the code alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# Targets are built where cargo fuzz looks for them, whatever the rest of the build does.
unset CARGO_TARGET_DIR
fuzz=(cargo fuzz)
sanitizer=none
if cargo +nightly --version >/dev/null 2>&1; then
    fuzz=(cargo +nightly fuzz)
    sanitizer=address
else
    export RUSTC_BOOTSTRAP=1
fi

# cargo fuzz builds with one codegen unit unless it is told otherwise.
build=(--sanitizer "$sanitizer" --codegen-units 16)

# What is found is kept here; nothing else depends on it.
corpus=${FUZZ_CORPUS:-fuzz/corpus}

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v autoforge)
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The words that a target may find useful. libFuzzer takes one file.
cat fuzz/json.dict fuzz/mcp.dict >"$scratch/mcp.dict"
options_of() {
    case $1 in
        mcp_frames) echo "-dict=$scratch/mcp.dict -max_len=8192" ;;
        mcp_tools) echo "-dict=$scratch/mcp.dict -len_control=0" ;;
        ops | stored_json) echo "-dict=fuzz/json.dict -len_control=0" ;;
        open_bytes) echo "-max_len=16384" ;;
        *) echo "-dict=fuzz/json.dict" ;;
    esac
}

count() {
    find "$@" -type f | wc -l
}

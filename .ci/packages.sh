# Installs system packages that are missing. Sourced by quickstart and check; never run by itself.
#
#   need "PACKAGE:PROBE" …    PROBE is a command that succeeds when the package's work is already there

say() { printf '%s\n' "$*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }
any() { compgen -G "$1" >/dev/null; }
has_libclang() { any "/usr/lib/llvm-*/lib/libclang*.so*" || any "/usr/lib/*/libclang*.so*" || any "/usr/lib64/libclang*.so*"; }
has_server() { has initdb || any "/usr/lib/postgresql/*/bin/initdb" || any "/usr/pgsql-*/bin/initdb"; }
has_libpq() { pg_config --includedir >/dev/null 2>&1; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }
has_venv() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# What building and running takes.
BUILD_PACKAGES=(
    "build-essential:has cc"
    "clang:has clang"
    "libclang-dev:has_libclang"
    "pkg-config:has pkg-config"
    "postgresql:has_server"
    "postgresql-client:has psql"
)
# What the tests and benches take besides.
CHECK_PACKAGES=(
    "postgresql-contrib:has pgbench"
    "pgbouncer:has pgbouncer"
    "python3-venv:has_venv"
    "libpq-dev:has_libpq"
    "nodejs:has node"
    "npm:has npm"
    "chromium:has_browser"
)

need() {
    local missing=() pair
    for pair in "$@"; do
        eval "${pair#*:}" || missing+=("${pair%%:*}")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    if ! has apt-get; then
        say "missing: ${missing[*]} (Debian's names)"
        say "install them with this system's package manager, then start again:"
        say "  a C compiler, clang with libclang (for bindgen), pkg-config, PostgreSQL 15 or newer with its server"
        say "  binaries and client; for the tests also pgbench, pgbouncer, Python 3 with venv, Node.js with npm, Chromium"
        return 1
    fi
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || { say "missing: ${missing[*]}; run as root or install sudo: apt-get install ${missing[*]}"; return 1; }
        sudo=(sudo)
    fi
    say "installing: ${missing[*]}"
    "${sudo[@]}" apt-get update -q >/dev/null
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        "${missing[@]}" >/dev/null
}

need_cargo() {
    if ! has cargo && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    has cargo || { say "missing: a Rust toolchain; see https://rustup.rs (the version stands in rust-toolchain.toml)"; return 1; }
}

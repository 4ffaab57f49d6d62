# One line a recipe; `just` lists them.
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", env("HOME") / ".cache/clyra/target")

_list:
    @just --list --unsorted

# everything that a submission must pass
check *WHICH:
    ./check {{WHICH}}

# the house with its own demo database
up *ARGS:
    ./quickstart {{ARGS}}

# tests of one crate, as in `just test policy`
test CRATE *ARGS:
    cargo nextest run -p clyra-{{CRATE}} {{ARGS}}

# clippy of one crate
lint CRATE:
    cargo clippy -p clyra-{{CRATE}} --all-targets -- -D warnings

# house rules only
tidy:
    cargo test -q -p clyra-tests --test tidy

# the dbt project, direct and through a gateway at PORT
dbt *ARGS:
    python3 tests/dbt_shop/run.py {{ARGS}}

# the drivers' own suites, direct and through the gateway, in every set-up; see tests/clients/run.py
clients *ARGS:
    cargo build -p clyra-cli && python3 tests/clients/run.py --clyra "$CARGO_TARGET_DIR/debug/clyra" {{ARGS}}

# facts held against PostgreSQL's own regression tests: all of them, some minutes
sql-differential *ARGS:
    cargo build -p clyra-cli && python3 tests/sql/differential.py --clyra "$CARGO_TARGET_DIR/debug/clyra" {{ARGS}}

# facts of the warehouses' dialects held against sqlglot's: all statements, a minute
warehouse-differential *ARGS:
    cargo build -p clyra-cli && python3 tests/sql/warehouse/differential.py --clyra "$CARGO_TARGET_DIR/debug/clyra" {{ARGS}}

# the judge alone: facts and decisions by time, and with --instructions by instructions
bench-judge *ARGS:
    cargo run --release -p clyra-bench -- judge {{ARGS}}

# fuzz the ear or the judge: TARGET is startup, frontend, backend, split_anywhere, sql_facts or sql_dialects (needs cargo-fuzz and a nightly compiler)
fuzz TARGET *ARGS:
    python3 tests/fuzz/corpora.py unpack {{TARGET}} && cargo +nightly fuzz run --fuzz-dir tests/fuzz {{TARGET}} -- {{ARGS}}

# the page that checks bundles in a browser
page:
    verifier/page/build

# the house against its peers
bench *ARGS:
    cargo build --release -p clyra-cli && cargo run --release -p clyra-bench -- pg {{ARGS}}

# a recorder killed two hundred times under load, and what it acknowledged counted afterwards
recorder-faults:
    cargo build -p clyra-cli -p clyra-verifier && CLYRA_FAULT_ROUNDS=200 cargo test -p clyra-tests --test evidence killed

# licences, advisories and bans
deny:
    cargo deny check

# documentation of our crates
doc:
    cargo doc --workspace --no-deps --open

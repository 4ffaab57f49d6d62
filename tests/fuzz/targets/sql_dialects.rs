//! Fuzzes `clyra_fuzz::sql_dialects`; what holds for any bytes is said there, never here.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clyra_fuzz::sql_dialects(bytes));

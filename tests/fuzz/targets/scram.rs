//! Fuzzes `clyra_fuzz::scram`; what holds for any bytes is said there, never here.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clyra_fuzz::scram(bytes));

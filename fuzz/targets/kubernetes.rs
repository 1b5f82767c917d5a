#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rs_backends::fuzzing::kubernetes(data));

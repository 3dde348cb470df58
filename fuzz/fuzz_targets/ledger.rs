#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tidelog::testing::ledger(data);
});

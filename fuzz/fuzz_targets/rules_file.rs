//! A rules file: loaded in both modes, described, explained and formatted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saker_rules::{
    describe::describe,
    explain::explain,
    fmt,
    load::{LoadOptions, Mode, SourceFile, load},
    report,
};

fuzz_target!(|text: &str| {
    for mode in [Mode::Strict, Mode::Quarantine] {
        let options = LoadOptions { mode, ..LoadOptions::new(saker_events::schema()) };
        let loaded = load(&[SourceFile::new("fuzz.yaml", text)], &options);
        let _said = (report::text(&loaded.files), report::json(&loaded.files));
        let _told = (describe(&loaded), explain(&loaded, None));
    }
    if let Ok(formatted) = fmt::format(text) {
        assert_eq!(fmt::format(&formatted), Ok(formatted));
    }
});

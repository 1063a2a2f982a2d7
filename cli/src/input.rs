//! Reading what the command line names, with messages that say what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use saker_engine::RulesHandle;
use saker_events::fields;
use saker_rules::{
    limits::MAX_FILE_BYTES,
    load::{Blind, LoadOptions, Loaded, SourceFile, load},
};

use crate::say;

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(bytes)
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(bytes(path)?).with_context(|| format!("{} is not UTF-8 text", path.display()))
}

/// Rules files as the loader takes them; what cannot be read is the loader's to report.
pub(crate) fn rules_files(paths: &[PathBuf]) -> Vec<SourceFile> {
    paths.iter().map(|path| rules_file(path)).collect()
}

/// The text of a rules file.
pub(crate) fn rules_text(path: &Path) -> anyhow::Result<String> {
    let SourceFile { name, content, unreadable, .. } = rules_file(path);
    unreadable.map_or(Ok(content), |reason| Err(anyhow!("cannot read {name}: {reason}")))
}

fn rules_file(path: &Path) -> SourceFile {
    let name = path.display().to_string();
    match fs::metadata(path) {
        // Its size is enough to refuse it: the text is not read.
        Ok(file) if file.len() > MAX_FILE_BYTES as u64 => {
            let reason =
                format!("{} bytes are more than the {MAX_FILE_BYTES} of a rules file: split it", file.len());
            SourceFile::unreadable(name, reason)
        }
        _ => match fs::read(path) {
            Ok(content) => SourceFile::from_bytes(name, content),
            Err(error) => SourceFile::unreadable(name, error.to_string()),
        },
    }
}

/// Loads rules that must be good, the default ones if no file is named; what is wrong with them goes to standard
/// error.
pub(crate) fn load_good_or_default(paths: &[PathBuf], options: &LoadOptions) -> anyhow::Result<Loaded> {
    if paths.is_empty() {
        let files = saker_rulesets::DEFAULT.map(|(name, text)| SourceFile::new(name, text));
        return good(load(&files, options));
    }
    load_good(paths, options)
}

/// Loads rules that must be good; what is wrong with them goes to standard error.
pub(crate) fn load_good(paths: &[PathBuf], options: &LoadOptions) -> anyhow::Result<Loaded> {
    good(load(&rules_files(paths), options))
}

fn good(loaded: Loaded) -> anyhow::Result<Loaded> {
    if loaded.successful() {
        return Ok(loaded);
    }
    say(&saker_rules::report::text(&loaded.files));
    bail!("the rules do not load");
}

/// Names the rules that are blind, wholly or in part, on standard error.
pub(crate) fn tell_blind(loaded: &Loaded) {
    tell(loaded.blind.iter().map(|Blind { rule, field, reason }| (rule.as_str(), *field, *reason)));
}

/// Names the rules that are blind where events come from a file: the names of its addresses are not in it.
fn tell_unnamed(loaded: &Loaded) {
    let reason = "only the agent looks up the addresses of names";
    let readers = loaded.readers(fields::is_host_name);
    tell(readers.iter().map(|(rule, field)| (rule.as_str(), field.as_str(), reason)));
}

/// Says of each rule to which fields it is blind, and why.
fn tell<'a>(blind: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
    let mut rules: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (rule, field, reason) in blind {
        rules.entry((rule, reason)).or_default().insert(field);
    }
    for ((rule, reason), fields) in rules {
        let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
        say(&format!("warning: the rule '{rule}' is blind to {fields}: {reason}"));
    }
}

/// Good rules, ready for an engine over events from a file.
pub(crate) fn rules(paths: &[PathBuf], options: &LoadOptions) -> anyhow::Result<(Loaded, RulesHandle)> {
    let loaded = load_good(paths, options)?;
    tell_blind(&loaded);
    tell_unnamed(&loaded);
    let rules = loaded.rules.clone().context("the rules do not load")?;
    Ok((loaded, RulesHandle::new(rules)))
}

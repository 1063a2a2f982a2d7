//! What a file asks of the engine and its plugins (specification §1.2).

use crate::{diagnostic::Diagnostic, place::Place, suggest};

/// Major, minor, patch.
pub type Version = (u32, u32, u32);

/// The engine that a file asks for.
#[derive(Debug)]
pub(crate) struct EngineRequirement {
    pub(crate) version: Version,
    pub(crate) place: Place,
}

/// A plugin that a file asks for, and those that may stand in for it.
#[derive(Debug, Clone)]
pub(crate) struct PluginRequirement {
    /// Name and version as written; the first is the one asked for.
    pub(crate) alternatives: Vec<(String, String)>,
    pub(crate) place: Place,
}

impl EngineRequirement {
    /// Whether this engine is new enough.
    pub(crate) fn check(&self, engine: Version) -> Result<(), Diagnostic> {
        if satisfies(engine, self.version) {
            return Ok(());
        }
        let (wanted, engine) = (dotted(self.version), dotted(engine));
        let message = format!("Rules require engine version {wanted}, but engine version is {engine}");
        Err(self.place.refuse(message))
    }
}

impl PluginRequirement {
    /// Whether the requirement itself makes sense.
    pub(crate) fn check(&self) -> Result<(), Diagnostic> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, version) in &self.alternatives {
            if parse_version(version).is_none() {
                let message = format!("Invalid required version '{version}' for plugin '{name}'");
                return Err(self.place.refuse(message));
            }
            if seen.contains(&name.as_str()) {
                let message =
                    format!("Defined multiple alternative version requirements for plugin '{name}'");
                return Err(self.place.refuse(message));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// Whether the first alternative that is there is new enough.
    pub(crate) fn check_plugins(&self, plugins: &[(String, Version)]) -> Result<(), Diagnostic> {
        let present = |name: &str| plugins.iter().find(|plugin| plugin.0 == name);
        let mut alternatives = self.alternatives.iter();
        let Some((wanted, (name, have))) = alternatives.find_map(|(n, v)| Some((v, present(n)?))) else {
            let all: Vec<_> = self.alternatives.iter().map(|(n, v)| format!("{n} (>= {v})")).collect();
            let message = format!("Plugin requirement not satisfied, must load one of: {}", all.join(", "));
            let known = || plugins.iter().map(|(name, _)| name.as_str());
            let mut error = self.place.refuse(message);
            let mut help = self.alternatives.iter().map(|(name, _)| suggest::did_you_mean(name, known()));
            error.help = help.find(|help| !help.is_empty()).unwrap_or_default();
            return Err(error);
        };
        if parse_version(wanted).is_some_and(|wanted| satisfies(*have, wanted)) {
            return Ok(());
        }
        let have = dotted(*have);
        let message = format!(
            "Plugin '{name}' version '{have}' is not compatible with required plugin version '{wanted}'"
        );
        Err(self.place.refuse(message))
    }
}

/// `0.63.0`.
pub(crate) fn dotted((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// `major.minor.patch`; what follows is not looked at.
pub fn parse_version(text: &str) -> Option<Version> {
    let (major, rest) = text.trim_start().split_once('.')?;
    let (minor, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
    Some((digits(major)?, digits(minor)?, digits(rest.get(..end)?)?))
}

/// Whether what is there serves who asks: the same major version and not older.
pub(crate) fn satisfies(have: Version, want: Version) -> bool {
    have.0 == want.0 && have >= want
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_as_falco_reads_them() {
        assert_eq!(parse_version("0.57.0"), Some((0, 57, 0)));
        assert_eq!(parse_version("1.2.3-rc1+x"), Some((1, 2, 3)));
        for bad in ["", "1", "1.2", "1.2.", "a.b.c", "1.-2.3", "1.2.x", "99999999999.0.0"] {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
        assert!(satisfies((0, 63, 0), (0, 57, 0)));
        assert!(!satisfies((0, 63, 0), (0, 64, 0)));
        assert!(!satisfies((1, 0, 0), (0, 57, 0)));
    }
}

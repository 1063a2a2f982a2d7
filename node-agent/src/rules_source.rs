//! Which rules files there are, in their order, and what is in them now.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use saker_rules::{bundle::Bundle, limits::MAX_FILE_BYTES, load::SourceFile};

use crate::config::BUILT_IN_RULES;

/// Where rules come from.
#[derive(Debug, Clone)]
pub struct RulesSource {
    paths: Vec<PathBuf>,
    /// A path that does not exist is an error.
    strict: bool,
}

impl RulesSource {
    /// The paths of the configuration, or else those of the command line, which must exist.
    pub fn new(configured: &[PathBuf], given: &[PathBuf]) -> Self {
        let strict = !given.is_empty();
        Self { paths: if strict { given } else { configured }.to_vec(), strict }
    }

    /// Reads everything, earlier files first.
    pub fn read(&self, bundle: Option<&Bundle>) -> Vec<SourceFile> {
        self.paths.iter().flat_map(|path| self.read_path(path, bundle)).collect()
    }

    /// Paths on disk, to be watched.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path).filter(|path| !is_built_in(path))
    }

    fn read_path(&self, path: &Path, bundle: Option<&Bundle>) -> Vec<SourceFile> {
        if is_built_in(path) {
            return built_in(bundle);
        }
        match list(path) {
            Ok(files) => files.iter().map(|file| read_file(file)).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.strict => Vec::new(),
            Err(e) => vec![SourceFile::unreadable(path.display().to_string(), e.to_string())],
        }
    }
}

fn is_built_in(path: &Path) -> bool {
    path == Path::new(BUILT_IN_RULES)
}

/// The cluster's rules hold the built-in ones already.
fn built_in(bundle: Option<&Bundle>) -> Vec<SourceFile> {
    match bundle {
        Some(bundle) => bundle.files.clone(),
        None => saker_rulesets::DEFAULT.map(|(name, text)| SourceFile::new(name, text)).into(),
    }
}

/// The file itself, or the rules files of a directory by name; not those of its directories.
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|p| is_rules_file(p)).collect();
    files.sort();
    Ok(files)
}

fn is_rules_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(OsStr::to_str);
    !hidden && matches!(extension, Some("yaml" | "yml")) && path.is_file()
}

fn read_file(path: &Path) -> SourceFile {
    let name = path.display().to_string();
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => SourceFile::unreadable(name, "it is no regular file"),
        Ok(meta) if meta.len() > limit => {
            SourceFile::unreadable(name, format!("it is larger than {limit} bytes"))
        }
        _ => match fs::read(path) {
            Ok(bytes) => SourceFile::from_bytes(name, bytes),
            Err(e) => SourceFile::unreadable(name, e.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[SourceFile]) -> Vec<&str> {
        files.iter().map(|f| f.name.rsplit('/').next().unwrap_or_default()).collect()
    }

    #[test]
    fn built_in_rules_come_first_and_directories_are_sorted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", ".hidden.yaml", "notes.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("sub.yaml")).unwrap();
        let source = RulesSource::new(&[BUILT_IN_RULES.into(), dir.path().into(), "/nowhere".into()], &[]);
        let expected = ["saker_syscall_rules.yaml", "saker_audit_rules.yaml", "a.yml", "b.yaml"];
        assert_eq!(names(&source.read(None)), expected);
        let bundle = Bundle::new(vec![SourceFile::new("falcorule/ns/a.yaml", "")]);
        assert_eq!(names(&source.read(Some(&bundle))), ["a.yaml", "a.yml", "b.yaml"]);
    }

    #[test]
    fn files_of_the_command_line_are_alone_and_must_exist() {
        let source =
            RulesSource::new(&[BUILT_IN_RULES.into()], &["/nowhere/a.yaml".into(), "/dev/zero".into()]);
        let reasons: Vec<_> = source.read(None).into_iter().map(|f| f.unreadable.unwrap()).collect();
        assert_eq!(reasons, ["No such file or directory (os error 2)", "it is no regular file"]);
    }
}

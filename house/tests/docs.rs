//! The documents: every command in them is run by a test or says what it needs, and every metric has its line.

use std::{collections::BTreeSet, fs, path::Path};

/// Each block of commands stands below a line that says who runs it: `<!-- test: node -->` for the end-to-end test of the
/// package, `<!-- test: FILE -->` for another test, `<!-- needs: WHAT -->` for what the machines of the tests lack.
#[test]
fn every_command_is_run_or_says_what_it_needs() {
    for path in saker_house::sources(&[".md"]) {
        let text = fs::read_to_string(&path).expect("a readable document");
        let lines: Vec<_> = text.lines().collect();
        for (number, pair) in lines.windows(2).enumerate().filter(|(_, pair)| pair[1].trim() == "```sh") {
            let good = mark(pair[0], "test").is_some_and(is_test) || mark(pair[0], "needs").is_some();
            assert!(good, "{}:{}: who runs these commands?", path.display(), number + 2);
        }
    }
}

fn mark<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?.strip_prefix(name)?.strip_prefix(": ")
}

fn is_test(name: &str) -> bool {
    name == "node" || saker_house::root().join(name).is_file()
}

/// Where metrics are spoken of.
const SPOKEN_OF: [&str; 3] =
    ["docs/metrics.md", "charts/saker/alerts.yaml", "charts/saker/dashboards/saker.json"];

#[test]
fn metrics_are_documented_and_exist() {
    let defined = defined();
    assert!(defined.len() > 40, "{defined:?}");
    let documented = words(SPOKEN_OF[0]);
    for name in &defined {
        assert!(documented.contains(name), "{name} is not in {}", SPOKEN_OF[0]);
    }
    for file in SPOKEN_OF {
        for name in words(file) {
            assert!(defined.contains(&name), "{file} speaks of {name}, which does not exist");
        }
    }
}

/// What the queries of Falco's own dashboard read that Saker has, too.
#[test]
fn the_dashboard_of_falco_finds_its_metrics() {
    let defined = defined();
    let wanted = [
        "falcosecurity_falco_rules_matches_total",
        "falcosecurity_falco_version_info",
        "falcosecurity_falco_cpu_usage_ratio",
        "falcosecurity_falco_memory_rss_bytes",
        "falcosecurity_falco_memory_vsz_bytes",
        "falcosecurity_falco_outputs_queue_num_drops_total",
        "falcosecurity_scap_engine_name_info",
        "falcosecurity_scap_n_evts_total",
        "falcosecurity_scap_n_drops_total",
        "falcosecurity_scap_n_drops_buffer_total",
    ];
    for name in wanted {
        assert!(defined.contains(name), "{name}");
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(saker_house::root().join(Path::new(file))).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn is_metric(word: &str) -> bool {
    ["saker_", "falcosecurity_"]
        .iter()
        .any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
}

/// Names in quotes in the programs that serve metrics, without those of their tests.
fn defined() -> BTreeSet<String> {
    let folders = ["node-agent/src", "operator/src"].map(|folder| saker_house::root().join(folder));
    let sources = saker_house::sources(&[".rs"]).into_iter();
    let sources = sources.filter(|path| folders.iter().any(|folder| path.starts_with(folder)));
    sources.flat_map(|path| quoted(&fs::read_to_string(path).expect("a readable source"))).collect()
}

fn quoted(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let names = code.split('"').filter(|part| is_metric(part) && plain(part));
    // A key of /versions.
    names.filter(|name| *name != "saker_version").map(str::to_owned).collect()
}

fn words(file: &str) -> BTreeSet<String> {
    let text = read(file);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| is_metric(word)).map(str::to_owned).collect()
}

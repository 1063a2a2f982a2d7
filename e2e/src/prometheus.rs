//! Prometheus' text format (version 0.0.4), read as strictly as it is written down: what a lenient reader forgives is an
//! error here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};

/// One line of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

/// Samples of a scrape.
///
/// # Errors
/// If anything is not as the format demands: a family in two places, a sample before its `# TYPE`, a counter whose name
/// does not end with `_total`, a number below zero in a counter, the same labels twice, a missing end of line.
pub fn parse(text: &str) -> anyhow::Result<Vec<Sample>> {
    ensure!(text.ends_with('\n'), "the last line has no end");
    let mut scrape = Scrape::default();
    for (number, line) in text.lines().enumerate() {
        scrape.line(line).with_context(|| format!("line {}: {line}", number + 1))?;
    }
    Ok(scrape.samples)
}

#[derive(Default)]
struct Scrape {
    samples: Vec<Sample>,
    /// Family and type that the latest `# TYPE` announced.
    family: (String, String),
    families: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl Scrape {
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(comment) = line.strip_prefix("# ") {
            return self.comment(comment);
        }
        ensure!(!line.is_empty() && !line.starts_with('#'), "neither a comment nor a sample");
        let sample = sample(line)?;
        let (family, kind) = &self.family;
        ensure!(sample.name == *family, "a sample of a family without # TYPE before it");
        if kind == "counter" {
            ensure!(sample.name.ends_with("_total"), "a counter's name ends with _total");
            ensure!(sample.value >= 0.0, "a counter is never negative");
        }
        let identity = format!("{}{:?}", sample.name, sample.labels);
        ensure!(self.seen.insert(identity), "the same sample twice");
        self.samples.push(sample);
        Ok(())
    }

    fn comment(&mut self, comment: &str) -> anyhow::Result<()> {
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(name), Some(help)) => {
                ensure!(is_name(name) && !help.trim().is_empty(), "help without a name or a text");
            }
            (Some("TYPE"), Some(name), Some(kind @ ("counter" | "gauge"))) => {
                ensure!(self.families.insert(name.to_owned()), "a family in two places");
                self.family = (name.to_owned(), kind.to_owned());
            }
            _ => bail!("neither HELP nor the TYPE of a counter or gauge"),
        }
        Ok(())
    }
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    ensure!(is_name(name), "no name of a metric");
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = read_labels(inside, &mut labels)?;
    }
    let value = rest.strip_prefix(' ').context("no blank before the value")?;
    let value = value.parse().with_context(|| format!("no number: {value}"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// `name="value",…}`; gives back what stands behind.
fn read_labels<'a>(text: &'a str, labels: &mut BTreeMap<String, String>) -> anyhow::Result<&'a str> {
    let mut rest = text;
    loop {
        let (name, quoted) = rest.split_once("=\"").context("no value of a label")?;
        ensure!(is_name(name) && !name.contains(':'), "no name of a label: {name}");
        let (value, after) = read_value(quoted)?;
        ensure!(labels.insert(name.to_owned(), value).is_none(), "a label twice: {name}");
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.strip_prefix('}').context("no end of the labels"),
        }
    }
}

/// Up to the closing quote, escapes resolved.
fn read_value(text: &str) -> anyhow::Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                other => bail!("no such escape: {other:?}"),
            },
            c => value.push(c),
        }
    }
    bail!("no closing quote")
}

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.chars().all(good) && text.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_text_is_read() {
        let text = "# HELP a_total Help\n# TYPE a_total counter\na_total{x=\"q\\\"\\n,}\",y=\"\"} 3\n# TYPE b gauge\nb -1.5e3\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples[0].labels["x"], "q\"\n,}");
        assert_eq!((samples[1].name.as_str(), samples[1].value), ("b", -1500.0));
    }

    #[test]
    fn bad_text_is_refused() {
        let typed = |sample: &str| format!("# TYPE a_total counter\n{sample}\n");
        let bad = [
            "# TYPE a gauge\na 1".to_owned(),
            "a 1\n".to_owned(),
            "# TYPE a counter\na 1\n".to_owned(),
            "# TYPE a gauge\n# TYPE b gauge\n# TYPE a gauge\n".to_owned(),
            typed("a_total -1"),
            typed("a_total  1"),
            typed("a_total x"),
            typed("a_total 1\na_total 1"),
            typed("a_total{x=\"1\",x=\"2\"} 1"),
            typed("a_total{x=\"1} 1"),
            typed("a_total{x=\"\\t\"} 1"),
            typed("a_total{1x=\"\"} 1"),
            typed("b_total 1"),
            typed(""),
        ];
        for text in bad {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}

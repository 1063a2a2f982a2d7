//! A report in the XML that JUnit made common and that CI systems read.

use std::fmt::Write;

use crate::report::Report;

/// The whole document: a suite a file, a test case a case.
pub(crate) fn xml(reports: &[Report]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        suite(&mut text, report);
    }
    text.push_str("</testsuites>\n");
    text
}

fn suite(text: &mut String, report: &Report) {
    let failures = report.cases.iter().filter(|(_, wrong)| !wrong.is_empty()).count();
    let (name, tests) = (escape(&report.file), report.cases.len());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
    for (case, wrong) in &report.cases {
        let (rule, name) = (escape(&case.rule), escape(&case.name));
        let _ = write!(text, "    <testcase classname=\"{rule}\" name=\"{name}\"");
        if wrong.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = writeln!(text, "><failure>{}</failure></testcase>", escape(&wrong.join("\n")));
        }
    }
    text.push_str("  </testsuite>\n");
}

/// Text for elements and attributes; characters that XML cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_breaks_out_of_the_xml() {
        assert_eq!(
            super::escape("a<b> & \"c\"\u{0}\u{1b}"),
            "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\u{fffd}"
        );
    }
}

//! `fmt`: one layout, the same meaning, the same comments.

use std::{env, fs, path::Path};

use proptest::prelude::*;
use saker_rules::fmt::{Refused, format};

/// Formatting again changes nothing; that the items are the same is [`format`]'s own promise, which refuses
/// otherwise.
fn stable(text: &str) -> String {
    let formatted = format(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(format(&formatted).as_deref(), Ok(&*formatted), "formatting twice");
    formatted
}

fn check(text: &str, expected: &str) {
    assert_eq!(stable(text), expected, "{text}");
}

#[test]
fn items_get_one_layout() {
    check("", "");
    check("# only a comment  ", "# only a comment\n");
    check("- list: a\r\n  items: [b]\r\n", "- list: a\n  items: [b]\n");
    check(
        "\n\n- list:   a\n  items: [b]\n\n\n\n\n- macro: m\n  condition: x",
        "\
- list: a
  items: [b]

- macro: m
  condition: x
",
    );
    check(
        "  -   rule: r\n      # why\n      priority: INFO # so\n      desc: >\n         long\n           text\n      tags:\n      - a\n      - b\n",
        "\
- rule: r
  desc: >
    long
      text
  # why
  priority: INFO # so
  tags:
    - a
    - b
",
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    check(
        "# file\n- list: a\n  items: [\n   b, # of b\n  ]\n  # of a, below\n# of m\n- desc: d\n  # of m's name\n  macro: m\n---\n# end\n",
        "\
# file
- list: a
  items: [
     b, # of b
    ]
  # of a, below

# of m
# of m's name
- macro: m
  desc: d

---
# end
",
    );
}

#[test]
fn blocks_keep_their_text() {
    check(
        "- macro: m\n  condition: |2\n     two  \n    # no comment\n\n  # a comment\n  append: true\n",
        "\
- macro: m
  condition: |2
     two  
    # no comment
  # a comment
  append: true
",
    );
    check(
        "- macro: m\n  condition: \"a\n   # no comment\n   b\"\n- {list: b,\n items: [c]}\n",
        "\
- macro: m
  condition: \"a
    # no comment
    b\"

- {list: b,
 items: [c]}
",
    );
}

#[test]
fn a_comment_above_a_value_is_no_text_of_it() {
    check("- rule:   a\n  a:\n      b\n   # c\n", "- rule: a\n  a:\n    b\n    # c\n");
    check("- rule:\t>-\n     # c\n", "- rule: >-\n    # c\n");
    check(
        "- required_plugin_versions:\n# as of: >\n    folded\n  condition: a\n",
        "\
- required_plugin_versions:
    # as of: >
    folded
  condition: a
",
    );
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_place() {
    let check = |text: &str, line, column, part: &str| {
        let Err(refused) = format(text) else { panic!("{text}") };
        let Refused { line: l, column: c, reason } = refused;
        assert!((l, c) == (line, column) && reason.contains(part), "{text}: {l}:{c}: {reason}");
    };
    check(
        "- list: a\n  items: []\n\n- # about b\n  list: b\n  items: []\n",
        4,
        3,
        "comment between the dash",
    );
    check("[{list: a, items: []}]", 1, 2, "line of its dash");
    check("list: a\n", 1, 1, "a list of items");
    check("- list: a\n  items: [\n", 3, 1, "");
    check("- macro: m\r\n  condition: >\r\n    é\r\r\n", 3, 6, "carriage return");
    check("- list: a\n  items: []\r", 2, 12, "carriage return");
}

#[test]
fn our_rules_are_formatted() {
    let rulesets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rulesets");
    for file in ["saker_syscall_rules.yaml", "saker_audit_rules.yaml"] {
        let text = fs::read_to_string(rulesets.join(file)).unwrap();
        assert_eq!(format(&text).as_deref(), Ok(&*text), "{file}");
    }
}

#[test]
fn upstreams_files_can_be_formatted() {
    let Some(fixtures) = env::var_os("SAKER_FIXTURES").filter(|path| !path.is_empty()) else { return };
    let files = fs::read_dir(Path::new(&fixtures).join("rules")).unwrap().flatten();
    let yaml = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let formatted: Vec<_> = yaml.map(|path| stable(&fs::read_to_string(path).unwrap())).collect();
    assert!(formatted.len() >= 4);
}

/// One value of a key, from its first line on; what follows is indented by `indent` and deeper.
fn value(indent: usize) -> impl Strategy<Value = String> {
    let pad = " ".repeat(indent);
    prop_oneof![
        "[a-z]{1,6}( [a-z]{1,6}){0,3}( {0,3}| # [a-z]{1,5})",
        Just("[a, b]".to_owned()),
        Just("[\n a,\n  b # c\n  ]".to_owned()),
        ("[>|]", "-?", prop::collection::vec(" {0,2}[a-z#]{1,5}( [a-z#]{1,5}){0,2} {0,2}", 1..4)).prop_map({
            let pad = pad.clone();
            move |(style, chomp, lines)| {
                let lines: Vec<_> = lines
                    .iter()
                    .enumerate()
                    .map(|(i, line)| {
                        let line = if i == 0 { line.trim_start() } else { line };
                        format!("\n{pad} {line}")
                    })
                    .collect();
                format!("{style}{chomp}{}", lines.concat())
            }
        }),
        Just(format!("\n{pad}- a\n{pad} # of b\n{pad}- [b, c]")),
        Just(format!("'it\n{pad}  # goes on'")),
    ]
}

fn item(dash: usize) -> impl Strategy<Value = String> {
    let keys = ["rule", "condition", "desc", "tags", "unknown", "priority"];
    (Just(dash), 1_usize..4, Just(keys).prop_shuffle(), 1_usize..6)
        .prop_flat_map(|(dash, gap, keys, count)| {
            let column = dash + 1 + gap;
            let parts: Vec<_> = keys
                .into_iter()
                .take(count)
                .map(|key| {
                    let comment = prop_oneof![3 => Just(0_usize), 1 => 1_usize..3];
                    (Just(key), " {1,3}", value(column), comment)
                })
                .collect();
            (Just((dash, gap, column)), parts, 0_usize..3)
        })
        .prop_map(|((dash, gap, column), parts, blanks)| {
            let mut text = String::new();
            for (i, (key, blank, value, comments)) in parts.into_iter().enumerate() {
                let lead = if i == 0 {
                    format!("{}-{}", " ".repeat(dash), " ".repeat(gap))
                } else {
                    " ".repeat(column)
                };
                let comment = format!("{}# about {key}\n", " ".repeat(column));
                text.push_str(&comment.repeat(if i == 0 { 0 } else { comments }));
                text.extend([&*lead, key, ":", &blank, &value, "\n"]);
            }
            text + &"\n".repeat(blanks)
        })
}

/// Items of whatever YAML is made of.
const TEXT: &str = concat!(
    "((\n {0,4}- |- )(rule:|a: b)?",
    "( ?>|#| #| #a: \\||\n|\r|\n {0,7}(- |#|c|d: |e: >)?|\n  f: |\t|---\n|\\.\\.\\.\n|\\?|&a |\\*a|!!str |,| {0,3}",
    "|a|\\[|\\]|\\{|\\}|[|>][2-][+]?| '|\"|b|é){0,12}){0,4}",
);

proptest! {
    #[test]
    fn any_file_keeps_its_meaning(items in (0_usize..4).prop_flat_map(|dash| prop::collection::vec(item(dash), 0..4))) {
        stable(&format!("# head

{}# foot", items.concat()));
    }

    #[test]
    fn any_text_is_formatted_or_refused(text in TEXT) {
        if let Ok(formatted) = format(&text) {
            prop_assert_eq!(format(&formatted), Ok(formatted));
        }
    }
}

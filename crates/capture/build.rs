//! Turns `tables/conversions.tsv` into the statics of `src/convert/rules.rs`.

use std::{collections::BTreeMap, env, error::Error, fmt::Write, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tables");
    let text = fs::read_to_string("tables/conversions.tsv")?;
    let mut by_event: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')).skip(1) {
        let [event, params, action] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("no conversion: {line}").into());
        };
        let rule = format!("Rule {{ params: {params}, action: {} }}", self::action(action)?);
        by_event.entry(event).or_default().push(rule);
    }
    let mut out = String::from("pub(super) static RULES: &[(u16, &[Rule])] = &[\n");
    for (event, rules) in by_event {
        writeln!(out, "(code::{event}, &[{}]),", rules.join(", "))?;
    }
    out.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("conversions.rs"), out)?;
    Ok(())
}

fn action(text: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = text.split(' ').collect();
    Ok(match words[..] {
        ["pass"] => "Action::Pass".into(),
        ["store"] => "Action::Keep".into(),
        ["store+pass"] => "Action::KeepAndPass".into(),
        ["add", list] => format!("Action::Add(&[{}])", values(list)?),
        ["to", event] => format!("Action::Become(code::{event}, &[])"),
        ["to", event, list] => format!("Action::Become(code::{event}, &[{}])", values(list)?),
        _ => return Err(format!("no action: {text}").into()),
    })
}

fn values(list: &str) -> Result<String, Box<dyn Error>> {
    let values: Result<Vec<String>, _> = list.split(',').map(value).collect();
    Ok(values?.join(", "))
}

fn value(text: &str) -> Result<String, Box<dyn Error>> {
    Ok(match (text, text.split_at(1)) {
        ("_", _) => "Value::Empty".into(),
        ("0", _) => "Value::Default".into(),
        ("json", _) => "Value::ContainerJson".into(),
        (_, ("O", index)) => format!("Value::Own({})", index.parse::<u8>()?),
        (_, ("E", index)) => match index.strip_suffix('?') {
            Some(index) => format!("Value::EnterOrEmpty({})", index.parse::<u8>()?),
            None => format!("Value::EnterOrDefault({})", index.parse::<u8>()?),
        },
        _ => return Err(format!("no value: {text}").into()),
    })
}

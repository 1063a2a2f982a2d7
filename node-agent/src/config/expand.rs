//! `${VAR}` from the environment (specification §8): unset is empty, `$${VAR}` is the text `${VAR}`.

use std::borrow::Cow;

/// A variable whose value would break the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} holds a control character: it must be one line of text")]
pub struct BadVariable(String);

/// Replaces the variables of a text, before it is read as YAML. Put quotes around a variable whose
/// value may mean something to YAML.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Cow<'_, str>, BadVariable> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        if let Some(before) = before.strip_suffix('$') {
            out.extend([before, "${", name, "}"]);
        } else {
            out.push_str(before);
            out.push_str(&value(name, &variable)?);
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn value(name: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, BadVariable> {
    let value = variable(name).unwrap_or_default();
    if value.chars().any(char::is_control) { Err(BadVariable(name.to_owned())) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, BadVariable> {
        let variable = |name: &str| match name {
            "HOST" => Some("node-1".to_owned()),
            "EVIL" => Some("a\nb: c".to_owned()),
            _ => None,
        };
        expand(text, variable).map(Cow::into_owned)
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expected) in [
            ("plain $HOST", "plain $HOST"),
            ("u: http://${HOST}:${PORT}/", "u: http://node-1:/"),
            ("$${HOST} ${HOST}", "${HOST} node-1"),
            ("open ${HOST", "open ${HOST"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_variable_cannot_add_a_line() {
        assert_eq!(check("a: ${EVIL}"), Err(BadVariable("EVIL".to_owned())));
    }
}

//! Turns `tables/*.tsv` into the statics of `src/table.rs`.

use std::{collections::BTreeSet, env, error::Error, fmt::Write, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tables");
    let mut out = String::new();
    symbols(&mut out, &rows("flags")?)?;
    events(&mut out, &rows("events")?)?;
    syscalls(&mut out, &rows("syscalls")?)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("tables.rs"), out)?;
    Ok(())
}

/// The cells of every line behind the comments and the line of column names.
fn rows(table: &str) -> Result<Vec<Vec<String>>, Box<dyn Error>> {
    let text = fs::read_to_string(format!("tables/{table}.tsv"))?;
    let lines = text.lines().filter(|l| !l.starts_with('#')).skip(1);
    Ok(lines.map(|l| l.split('\t').map(str::to_owned).collect()).collect())
}

fn symbols(out: &mut String, rows: &[Vec<String>]) -> Result<(), Box<dyn Error>> {
    let tables: BTreeSet<&str> = rows.iter().map(|r| r[0].as_str()).collect();
    for table in tables {
        let dynamic = table.ends_with("_dynamic_param");
        let ty = if dynamic { "Param" } else { "Symbol" };
        writeln!(out, "/// `{table}`.\npub static {}: &[{ty}] = &[", table.to_uppercase())?;
        for row in rows.iter().filter(|r| r[0] == table) {
            if dynamic {
                writeln!(out, "{},", param(&format!("{}:{}", row[2], row[1]))?)?;
            } else {
                writeln!(out, "Symbol {{ name: {:?}, value: {} }},", row[1], row[2])?;
            }
        }
        out.push_str("];\n");
    }
    Ok(())
}

fn events(out: &mut String, rows: &[Vec<String>]) -> Result<(), Box<dyn Error>> {
    writeln!(out, "/// Every event, indexed by code.\npub static EVENTS: [EventRow; {}] = [", rows.len())?;
    for row in rows {
        let [code, _, name, dir, category, source, flags, fd_param, params] = row.as_slice() else {
            return Err(format!("events.tsv: {} columns in {row:?}", row.len()).into());
        };
        let params: Vec<String> =
            params.split(' ').filter(|p| *p != "-").map(param).collect::<Result<_, _>>()?;
        let own = row[8].split(' ').filter(|p| *p != "-" && !p.starts_with('+')).count();
        let flags: Vec<String> = flags
            .split(',')
            .map(|f| if f == "-" { "0".into() } else { format!("event_flags::{f}") })
            .collect();
        let fd_param = if fd_param == "-" { "None".into() } else { format!("Some({fd_param})") };
        writeln!(
            out,
            "EventRow {{ code: {code}, name: {name:?}, enter: {}, category: Category::{}, source: Source::{}, flags: {}, fd_param: {fd_param}, params: &[{}], own: {own} }},",
            dir == "E",
            camel(category),
            camel(source),
            flags.join(" | "),
            params.join(", "),
        )?;
    }
    out.push_str("];\n/// Codes of the events by their names in the scap format.\n#[allow(missing_docs, reason = \"the names are the format's\")]\npub mod code {\n");
    for row in rows {
        writeln!(out, "pub const {}: u16 = {};", row[1], row[0])?;
    }
    out.push_str("}\n");
    Ok(())
}

/// `name:TYPE:FORMAT[:link]` as a `Param`.
fn param(text: &str) -> Result<String, Box<dyn Error>> {
    let mut cells = text.splitn(4, ':');
    let (Some(name), Some(ty), Some(format)) = (cells.next(), cells.next(), cells.next()) else {
        return Err(format!("no parameter: {text}").into());
    };
    let link = match cells.next() {
        None => "None".into(),
        Some(link) => match link.split_once('=') {
            Some(("dirfd", index)) => format!("Dirfd({index})"),
            Some(("dyn", set)) => format!("Choices({})", set.to_uppercase()),
            _ => format!("Symbols({})", link.to_uppercase()),
        },
    };
    Ok(format!(
        "Param {{ name: {:?}, ty: ParamType::{}, format: Format::{}, link: Link::{link}, extension: {} }}",
        name.trim_start_matches('+'),
        camel(ty),
        camel(format),
        name.starts_with('+')
    ))
}

fn syscalls(out: &mut String, rows: &[Vec<String>]) -> Result<(), Box<dyn Error>> {
    writeln!(out, "/// Every system call.\npub static SYSCALLS: [SyscallRow; {}] = [", rows.len())?;
    let number = |n: &str| if n == "-" { "None".to_owned() } else { format!("Some({n})") };
    for row in rows {
        let [name, id, x86_64, i386, aarch64, exit_event] = row.as_slice() else {
            return Err(format!("syscalls.tsv: {} columns in {row:?}", row.len()).into());
        };
        writeln!(
            out,
            "SyscallRow {{ name: {name:?}, id: {id}, x86_64: {}, i386: &[{}], aarch64: {}, exit_event: {exit_event} }},",
            number(x86_64),
            i386.trim_matches('-'),
            number(aarch64)
        )?;
    }
    out.push_str("];\n");
    Ok(())
}

/// `IO_READ` and `io_read` become `IoRead`; `-` becomes `None`.
fn camel(text: &str) -> String {
    if text == "-" {
        return "None".into();
    }
    let word = |w: &str| format!("{}{}", &w[..1].to_uppercase(), &w[1..].to_lowercase());
    text.split('_').filter(|w| !w.is_empty()).map(word).collect()
}

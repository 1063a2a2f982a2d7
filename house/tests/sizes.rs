//! Size budgets: files of at most 500 lines, functions of at most 60, a median below 15, `main.rs` below 20.
//!
//! Lines of `mod tests` do not count; a file that is one table (`static`/`const` rows) may be longer.

use std::{fs, path::Path};

use syn::{Item, spanned::Spanned, visit::Visit};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;
const MEDIAN_LINES: usize = 15;
const MAIN_LINES: usize = 20;

#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        self.0.push((name.to_string(), span.end().line - span.start().line + 1));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig.ident, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn lines(item: &impl Spanned) -> usize {
    let span = item.span();
    span.end().line - span.start().line + 1
}

fn is_tests(item: &Item) -> bool {
    matches!(item, Item::Mod(module) if module.ident == "tests" && module.content.is_some())
}

fn is_table(item: &Item) -> bool {
    matches!(item, Item::Const(_) | Item::Static(_)) && lines(item) > 30
}

/// Lines of production code and the functions in it.
fn measure(text: &str) -> (usize, Functions) {
    let file = syn::parse_file(text).expect("Rust that parses");
    let set_aside: usize = file.items.iter().filter(|i| is_tests(i) || is_table(i)).map(lines).sum();
    let mut functions = Functions::default();
    file.items.iter().filter(|i| !is_tests(i)).for_each(|item| functions.visit_item(item));
    (text.lines().count() - set_aside, functions)
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests")
}

#[test]
fn rust_files_and_functions_stay_small() {
    let (mut wrong, mut all) = (Vec::new(), Vec::new());
    for path in saker_house::sources(&[".rs"]) {
        let (count, functions) = measure(&fs::read_to_string(&path).expect("a readable source"));
        let shown = path.strip_prefix(saker_house::root()).unwrap_or(&path).display().to_string();
        let limit = if shown.ends_with("src/main.rs") { MAIN_LINES } else { FILE_LINES };
        if count > limit {
            wrong.push(format!("{shown}: {count} lines"));
        }
        let long = functions.0.iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
        wrong.extend(long.map(|(name, lines)| format!("{shown}: fn {name} has {lines} lines")));
        if !is_test_file(&path) {
            all.extend(functions.0.iter().map(|(_, lines)| *lines));
        }
    }
    assert!(wrong.is_empty(), "over budget:\n{}", wrong.join("\n"));
    all.sort_unstable();
    let median = all.get(all.len() / 2).copied().unwrap_or(0);
    assert!(median < MEDIAN_LINES, "the median function has {median} lines");
}

#[test]
fn probe_files_stay_small() {
    for path in saker_house::sources(&[".c", ".h"]) {
        let count = fs::read_to_string(&path).expect("a readable source").lines().count();
        assert!(count <= FILE_LINES, "{}: {count} lines", path.display());
    }
}

//! Reads a source file with `syn`, and finds which top-level modules it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Item};

/// A source file without comments and without what is compiled for its unit tests only.
pub(crate) struct ParsedFile {
    /// Names, `::`, brackets and other punctuation, also those inside macro calls.
    pub(crate) tokens: Vec<String>,
    /// Number of lines without those of the unit tests.
    pub(crate) line_count: usize,
}

pub(crate) fn parse(text: &str) -> ParsedFile {
    let mut file = syn::parse_file(text).unwrap();
    let mut line_count = text.lines().count();
    file.items.retain(|item| {
        let is_test_only = attributes(item).iter().any(is_cfg_test);
        if is_test_only {
            line_count -= item.span().end().line - item.span().start().line + 1;
        }
        !is_test_only
    });
    let mut tokens = Vec::new();
    for item in file.items {
        flatten(item.into_token_stream(), &mut tokens);
    }
    ParsedFile { tokens, line_count }
}

/// The attributes of the kinds of items that this crate compiles for tests only.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let condition = attribute.meta.require_list();
    attribute.path().is_ident("cfg")
        && condition.is_ok_and(|list| list.tokens.to_string() == "test")
}

/// Appends the tokens of a stream; the two colons of a path become one token, and literals (with
/// them the text of doc comments) are left out.
fn flatten(stream: TokenStream, tokens: &mut Vec<String>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(open.to_owned());
                flatten(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' && ends_with_colon(tokens) => {
                tokens.pop();
                tokens.push("::".to_owned());
            }
            TokenTree::Punct(sign) => tokens.push(sign.to_string()),
            TokenTree::Ident(name) => tokens.push(name.to_string()),
            TokenTree::Literal(_) => {}
        }
    }
}

fn ends_with_colon(tokens: &[String]) -> bool {
    tokens.last().is_some_and(|token| token == ":")
}

/// The tokens of a path such as `Utc::now`, or of an import.
pub(crate) fn tokens_of(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    flatten(code.parse().unwrap(), &mut tokens);
    tokens
}

/// Whether `part` occurs in `tokens`, and where it begins.
pub(crate) fn find(tokens: &[String], part: &[String]) -> Option<usize> {
    tokens.windows(part.len()).position(|window| window == part)
}

/// The top-level modules that a module names: after `crate::`, or after as many `super::` as lead
/// out of its own top-level module.
pub(crate) fn named_modules(module_path: &str, tokens: &[String]) -> BTreeSet<String> {
    let depth = module_path.split('/').count();
    let is_path = |at: usize, name: &str| {
        tokens.get(at).is_some_and(|token| token == name)
            && tokens.get(at + 1).is_some_and(|token| token == "::")
    };
    let mut named = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut climbed = 0;
        while is_path(at, "super") {
            climbed += 1;
            at += 2;
        }
        if is_path(at, "crate") {
            climbed = depth;
            at += 2;
        }
        if climbed >= depth {
            named.extend(first_names(&tokens[at..]));
        }
        at += 1;
    }
    named
}

/// What follows a path's `::`: one name, or the first names of a group `{a::b, c}`.
fn first_names(tokens: &[String]) -> Vec<String> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().cloned().into_iter().collect();
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].as_str(), "{" | ",") && pair[1] != "}" {
            names.push(pair[1].clone());
        }
    }
    names
}

/// Every file of `src` but the list of modules, as its path below it and its text.
pub(crate) fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                None => walk(&path, found),
                Some("rs") => found.push(path),
                Some(_) => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    paths
        .iter()
        .filter(|path| !path.ends_with("lib.rs"))
        .map(|path| (below(path), fs::read_to_string(path).unwrap()))
        .collect()
}

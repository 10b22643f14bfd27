//! Finds the blocks of a PEM file (RFC 7468) more leniently than Envoy does, and tells whether Envoy would
//! find the same ones.
//!
//! BoringSSL (`PEM_read_bio`) reads line by line: a line must begin with `-----BEGIN`, and a block ends with
//! a line that is exactly its `-----END`. Outside a block, a line that does not fit is skipped as text; inside
//! one, it ends the reading. So a certificate after a byte-order mark is silently lost, and one without a line
//! break before it makes Envoy refuse the file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// RFC 7468 has 64 and RFC 1421 as many; BoringSSL takes lines up to 254 bytes.
const LONGEST_LINE: usize = 76;
const LINE: usize = 64;

/// A block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// Its label, as `CERTIFICATE`.
    pub(super) label: &'a str,
    /// What is in it; none where that is no base64.
    pub(super) content: Option<Vec<u8>>,
    /// Whether Envoy finds it, too.
    pub(super) is_plain: bool,
}

/// What a file has that is no block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A beginning without its end.
    Unended,
    /// An end without its beginning, or one that is not at the start of a line.
    Unbegun,
}

/// The blocks in their order. Text between them is skipped, and so is what stands behind text in its
/// line: somebody may have made a comment of it, and nothing is trusted that was taken out.
///
/// # Errors
/// What is no block, and the number that it would have.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, (usize, Damage)> {
    let mut blocks = Vec::new();
    // Where the last block ended, and where the search goes on.
    let (mut ended, mut from) = (0, 0);
    while let Some(found) = next_marker(text, from) {
        let start = text[..found.at].rfind('\n').map_or(0, |at| at + 1);
        // A block may follow another one in its line.
        let before = text[start.max(ended)..found.at].trim_matches(is_blank);
        if !before.is_empty() {
            from = found.after;
            continue;
        }
        let number = blocks.len() + 1;
        if !found.begins {
            return Err((number, Damage::Unbegun));
        }
        let end = format!("{END}{}{DASHES}", found.label);
        let body = &text[found.after..];
        let len = body.find(DASHES);
        let len = len.filter(|at| body[*at..].starts_with(&end));
        let len = len.ok_or((number, Damage::Unended))?;
        ended = found.after + len + end.len();
        from = ended;
        let line_end = text[ended..].find('\n').map_or(text.len(), |at| ended + at);
        blocks.push(Block {
            label: found.label,
            content: decoded(&body[..len]),
            is_plain: is_plain(&text[start..line_end], found.label),
        });
    }
    Ok(blocks)
}

/// A block's text, as RFC 7468 has it.
pub(super) fn encoded(label: &str, content: &[u8]) -> String {
    let base64 = STANDARD.encode(content);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII.
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + END + label + DASHES + "\n"
}

/// Where a block begins or ends.
struct Marker<'a> {
    at: usize,
    after: usize,
    label: &'a str,
    begins: bool,
}

fn next_marker(text: &str, mut from: usize) -> Option<Marker<'_>> {
    loop {
        let at = from + text[from..].find(DASHES)?;
        let rest = &text[at..];
        let (begins, labelled) = match (rest.strip_prefix(BEGIN), rest.strip_prefix(END)) {
            (Some(labelled), _) => (true, labelled),
            (None, Some(labelled)) => (false, labelled),
            // One dash further: there may be more than five.
            (None, None) => {
                from = at + 1;
                continue;
            }
        };
        let label = labelled.split(['-', '\n']).next().unwrap_or_default();
        if labelled[label.len()..].starts_with(DASHES) {
            let after = text.len() - labelled.len() + label.len() + DASHES.len();
            return Some(Marker {
                at,
                after,
                label,
                begins,
            });
        }
        from = text.len() - labelled.len();
    }
}

/// White space, and the mark that editors of Windows put before UTF-8.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn decoded(body: &str) -> Option<Vec<u8>> {
    let mut base64 = body.to_owned();
    base64.retain(|c| !c.is_ascii_whitespace());
    STANDARD.decode(base64).ok()
}

/// Whether these lines are a block and nothing else. (White space at a line's end is ignored, CR
/// with it.)
fn is_plain(lines: &str, label: &str) -> bool {
    let mut lines = lines.lines().map(str::trim_ascii_end);
    let is_base64 = |line: &str| {
        (1..=LONGEST_LINE).contains(&line.len())
            && line
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    };
    lines.next() == Some(&format!("{BEGIN}{label}{DASHES}"))
        && lines.next_back() == Some(&format!("{END}{label}{DASHES}"))
        && lines.all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "-----BEGIN A-----\nMAA=\n-----END A-----\n";

    /// The labels, each with whether Envoy finds the block, too.
    fn labels(text: &str) -> Vec<(&str, bool)> {
        let blocks = blocks(text).unwrap_or_else(|wrong| panic!("{text:?}: {wrong:?}"));
        for block in &blocks {
            assert_eq!(block.content.as_deref(), Some(&[0x30, 0][..]), "{text:?}");
        }
        blocks.iter().map(|it| (it.label, it.is_plain)).collect()
    }

    #[test]
    fn plain_blocks_are_found_with_text_between_them_and_either_line_end() {
        let crlf = A.replace('\n', "\r\n");
        for text in [
            A.to_owned(),
            crlf,
            format!("subject=/CN=a\n\n{A}"),
            A.trim_end().to_owned(),
            A.replace('\n', " \n"),
            format!("# -----BEGIN A-----\n# MAA=\n# -----END A-----\n{A}"),
            format!("----- a -----\n{A}"),
        ] {
            assert_eq!(labels(&text), [("A", true)], "{text:?}");
        }
        assert_eq!(labels(&A.repeat(3)).len(), 3);
        assert_eq!(labels("nothing"), []);
    }

    #[test]
    fn blocks_are_found_that_envoy_would_not_find() {
        let glued = A.trim_end().repeat(2);
        assert_eq!(labels(&glued), [("A", false), ("A", false)]);
        for text in [
            format!("\u{feff}{A}"),
            A.replace('\n', " "),
            A.replace('\n', "\r"),
            A.replace('\n', "\n  "),
            format!("{A}  # the end").replace("\n  #", " #"),
            A.replace("-----\nM", "-----M"),
            A.replace("=\n-", "=-"),
        ] {
            assert_eq!(labels(&text), [("A", false)], "{text:?}");
        }
    }

    #[test]
    fn what_is_no_block_is_told_with_its_number() {
        use Damage::{Unbegun, Unended};
        for (text, number, damage) in [
            ("-----BEGIN A-----\nMAA=\n".to_owned(), 1, Unended),
            (format!("{A}-----BEGIN A-----\n"), 2, Unended),
            (format!("-----BEGIN A-----\nMAA=\n{A}"), 1, Unended),
            (A.replace("END A", "END B"), 1, Unended),
            (
                format!("{A}{}", A.replace("-----END", "----END")),
                2,
                Unended,
            ),
            (format!("{A}{}", &A[1..]), 2, Unbegun),
            ("MAA=\n-----END A-----\n".to_owned(), 1, Unbegun),
            (format!("Example CA{A}"), 1, Unbegun),
            (format!("# {A}"), 1, Unbegun),
        ] {
            assert_eq!(blocks(&text), Err((number, damage)), "{text:?}");
        }
        let no_base64 = A.replace("MAA=", "M*");
        assert_eq!(blocks(&no_base64).unwrap()[0].content, None);
    }

    #[test]
    fn what_is_written_is_read() {
        let content: Vec<u8> = (0..=255).collect();
        let text = encoded("A B", &content);
        let read = blocks(&text).unwrap();
        assert_eq!(read[0].content.as_deref(), Some(content.as_slice()));
        assert!(read[0].is_plain);
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
    }
}

//! The demo's table: step, what was sent, expected, got, ok. It prints what it is given.

use super::ending::place;
use crate::{error::Error, standing::Standing, tell};
use serde::Serialize;
use serde_json::json;

/// One step as it was seen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) step: &'static str,
    pub(super) sent: String,
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) ok: bool,
}

/// Prints all steps; whether every one came true.
pub(super) fn tell(
    rows: &[Row],
    run_id: &str,
    standing: &Standing,
    passes_away: bool,
    json: bool,
) -> Result<bool, Error> {
    let ok = !rows.is_empty() && rows.iter().all(|row| row.ok);
    let bundle = place(standing, run_id, "pef.zip")?;
    if json {
        let bundle = (!passes_away).then_some(bundle);
        tell::line(&json!({"ok": ok, "run_id": run_id, "bundle": bundle, "steps": rows}).to_string())?;
        return Ok(ok);
    }
    let kept = if passes_away {
        "The house was temporary and is gone; `clyra demo --data DIR` keeps it.".to_owned()
    } else {
        let (bundle, trust) = (bundle.display(), standing.trust.display());
        format!("Check it yourself:\n  clyra-verify bundle {bundle} --trust {trust}")
    };
    let came_true = rows.iter().filter(|row| row.ok).count();
    tell::line(&format!("{}\n{kept}\n{came_true} of {} steps came true", text(rows), rows.len()))?;
    Ok(ok)
}

/// The table; long cells go on in the next line.
fn text(rows: &[Row]) -> String {
    let mut text = line(&["step", "sent", "expected", "got", "ok"].map(|cell| vec![cell.to_owned()]));
    for row in rows {
        let ok = if row.ok { "yes" } else { "NO" };
        let cells = [row.step, &row.sent, &row.expected, &row.got, ok];
        let mut widths = WIDTHS.into_iter();
        text.push_str(&line(&cells.map(|cell| folded(cell, widths.next().unwrap_or(usize::MAX)))));
    }
    text
}

/// One row of the table, as high as its highest cell.
fn line(cells: &[Vec<String>; 5]) -> String {
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let mut text = String::new();
    for at in 0..height {
        let parts = cells.iter().zip(WIDTHS).map(|(cell, width)| {
            let part = cell.get(at).map_or("", String::as_str);
            format!("{part:<width$}")
        });
        let line = parts.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text in pieces no wider than this, cut at spaces where there are any.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split(' ') {
        for (at, part) in pieces_of(word, width).into_iter().enumerate() {
            let Some(last) = pieces.last_mut() else { continue };
            let room = width.saturating_sub(last.chars().count());
            if last.is_empty() {
                last.push_str(&part);
            } else if at == 0 && part.chars().count() < room {
                last.push(' ');
                last.push_str(&part);
            } else {
                pieces.push(part);
            }
        }
    }
    pieces
}

/// A word, cut where it is wider than this.
fn pieces_of(word: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    if chars.is_empty() {
        return vec![String::new()];
    }
    chars.chunks(width.max(1)).map(|chunk| chunk.iter().collect()).collect()
}

const WIDTHS: [usize; 5] = [18, 40, 25, 48, 3];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_go_on_below() {
        let sent = "UPDATE orders SET note = 'x' WHERE id = 7 AND tenant_id = 1";
        let row = Row { step: "one", sent: sent.into(), expected: "e".into(), got: "g".into(), ok: false };
        let text = text(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].ends_with("NO"), "{text}");
        let column = lines[0].find("sent").unwrap();
        assert!(lines[1].split_at(column).1.starts_with("UPDATE"), "{text}");
        assert!(lines[2].split_at(column).1.trim_end().ends_with("tenant_id = 1"), "{text}");
    }

    #[test]
    fn nothing_is_lost_by_folding() {
        let long = format!("a {} b", "x".repeat(20));
        let pieces = folded(&long, 8);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= 8), "{pieces:?}");
        assert_eq!(pieces.concat().replace(' ', ""), long.replace(' ', ""));
    }
}
